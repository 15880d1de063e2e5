// Package down is `okteto down`.
package down

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"okteto/cli/kube"
	"okteto/cli/manifest"
	"okteto/cli/sshconfig"
	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/cli/workload"
	"okteto/internal/engine"
)

type flags struct {
	target.Flags
	volumes, all, wait bool
	output             string
}

// NewCommand returns `okteto down`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "End an environment and leave the workload as it was",
		Long: `Ends the environment's okteto up, removes the development pod, gives the workload
its replicas back and removes what okteto had put beside it.

It works from any machine, with nothing but the manifest, or without it when the
environment is named; also when okteto up was killed, when the workload was
deleted meanwhile, and for workloads that an older okteto had changed in place.
Running it again does no harm.

The environment's volume is kept, with the shell history and caches that are on
it, until --volumes deletes it.`,
		Example: `  okteto down
  okteto down api --volumes
  okteto down --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return run(cmd.Context(), streams, f, name)
		},
	}
	set := cmd.Flags()
	f.Add(set)
	set.BoolVarP(&f.volumes, "volumes", "v", false, "also delete the environment's volume, with what is on it")
	set.BoolVarP(&f.all, "all", "A", false, "all environments of the manifest")
	set.BoolVar(&f.wait, "wait", false, "wait until the development pod is gone and the workload is available")
	set.StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

// result is what is shown of one environment with -o json.
type result struct {
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Active    bool     `json:"active"`
	Steps     []string `json:"steps"`
	KeptClaim string   `json:"keptClaim,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

func run(ctx context.Context, streams ui.Streams, f flags, name string) error {
	if f.output != "" && f.output != "json" {
		return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
	}
	if f.all && name != "" {
		return &ui.Problem{Summary: "--all and a name exclude each other", Hint: "leave one of them out"}
	}
	targets, err := f.targets(name)
	if err != nil {
		return err
	}
	results := []result{}
	var failures error
	for _, t := range targets {
		r, err := one(ctx, streams, f, t)
		if err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		results = append(results, *r)
	}
	if f.output == "json" {
		if err := json.NewEncoder(streams.Out).Encode(results); err != nil {
			return errors.Join(failures, err)
		}
	}
	return failures
}

// targets are the environments to end.
func (f flags) targets(name string) ([]*target.Target, error) {
	if !f.all {
		t, err := f.Resolve(name)
		if err != nil && name != "" && f.File == "" && errors.Is(err, manifest.ErrNotFound) {
			t, err = f.withoutManifest(name)
		}
		if err != nil {
			return nil, err
		}
		return []*target.Target{t}, nil
	}
	m, err := manifest.Load(f.File)
	if err != nil {
		return nil, target.Explain(err, f.File)
	}
	var all []*target.Target
	for _, dev := range m.Names() {
		t, err := f.Resolve(dev)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// withoutManifest ends an environment that is known by name only.
func (f flags) withoutManifest(name string) (*target.Target, error) {
	dev, err := manifest.Named(name)
	if err != nil {
		return nil, err
	}
	client, err := kube.Load(kube.Options{Context: f.Context, Namespace: f.Namespace})
	if err != nil {
		return nil, err
	}
	return &target.Target{Dev: dev, Client: client}, nil
}

// one ends one environment: what runs on this machine first, since it would
// only fight for a pod that goes.
func one(ctx context.Context, streams ui.Streams, f flags, t *target.Target) (*result, error) {
	progress := ui.NewProgress(streams.ErrOut)
	defer progress.Close()
	fail := func(err error, action string) (*result, error) {
		progress.Fail()
		return nil, t.Client.Explain(err, action)
	}
	progress.Step("Ending development of %s", t.Dev.Name)
	if err := t.Client.CheckNamespace(ctx); err != nil {
		return fail(err, "look up the namespace")
	}
	env, err := t.State()
	if err != nil {
		return fail(err, "look up what runs on this machine")
	}
	unsettled := settle(ctx, env.Dir)
	if err := context.Cause(ctx); err != nil {
		// Without up there would be nobody left to bring what is still missing.
		return fail(err, "wait for what was saved last")
	}
	if running, err := env.Stop(ctx); err != nil {
		return fail(err, "end okteto up")
	} else if running {
		progress.Update("ended okteto up")
	}
	report, err := workload.Deactivate(ctx, t.Workload(), workload.DownOptions{
		Volumes: f.volumes, Wait: f.wait,
		Report: func(s workload.Step) { progress.Update("%s", s) },
	})
	if err != nil {
		return fail(err, "end development of "+t.Dev.Name)
	}
	report.Warnings = append(report.Warnings, unsettled...)
	if err := sshconfig.Remove(env.Home, t.Dev.Name); err != nil {
		report.Warnings = append(report.Warnings, fmt.Sprintf("the SSH configuration still has %s: %v", t.Dev.Name, err))
	}
	if err := forget(env.Dir, f.volumes); err != nil {
		report.Warnings = append(report.Warnings, err.Error())
	}
	summarize(progress, t, report, ui.Lively(streams.ErrOut))
	return newResult(t, report), nil
}

// settleLimit is how long down waits for what was saved last.
const settleLimit = 10 * time.Second

// settle waits until what was saved in the pod, which is about to go, is on the
// laptop. It returns what the user has to know if that cannot be had.
func settle(ctx context.Context, home string) (warnings []string) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	err := filesync.Wait(ctx, home)
	var late *engine.UnsettledError
	switch {
	case err == nil, errors.Is(err, filesync.ErrNotRunning):
		return nil
	case errors.As(err, &late) && late.Here:
		return []string{"not on this machine when the pod went: " + strings.Join(late.Items[:min(len(late.Items), 10)], ", ")}
	case errors.As(err, &late):
		return nil // it is here that it is
	}
	return []string{fmt.Sprintf("what was saved in the pod last may not be on this machine: %v", err)}
}

// forget removes the environment's folder on this machine along with its
// volume, so that a next up begins from nothing.
func forget(dir string, volumes bool) error {
	if !volumes {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	_ = os.Remove(filepath.Dir(dir)) // the namespace's folder; fails while others are in it
	return nil
}

// summarize repeats the steps where each was drawn over the one before.
func summarize(progress *ui.Progress, t *target.Target, report *workload.DownReport, lively bool) {
	if report.Active {
		progress.Done("Development of %s ended in namespace %s", t.Dev.Name, t.Client.Namespace)
	} else {
		progress.Done("%s is not being developed in namespace %s", t.Dev.Name, t.Client.Namespace)
	}
	if lively {
		for _, s := range report.Steps {
			progress.Note("%s", s)
		}
	}
	for _, w := range report.Warnings {
		progress.Warn("%s", w)
	}
	if report.KeptClaim != "" {
		progress.Note("kept the volume %s; okteto down %s --volumes deletes it", report.KeptClaim, t.Dev.Name)
	}
}

func newResult(t *target.Target, report *workload.DownReport) *result {
	r := &result{
		Name: t.Dev.Name, Namespace: t.Client.Namespace, Active: report.Active,
		Steps: []string{}, KeptClaim: report.KeptClaim, Warnings: report.Warnings,
	}
	for _, s := range report.Steps {
		r.Steps = append(r.Steps, s.String())
	}
	return r
}
