// Package status is `okteto status`.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/cli/state"
	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// inactive is the exit code when no `up` runs here, as for a service that does not
// run (LSB Core 5.0, 22.2: status 3).
const inactive = 3

// clusterLimit is how long the cluster may take to say how the pod is.
const clusterLimit = 5 * time.Second

// watchPeriod is how often --watch looks again.
const watchPeriod = time.Second

type flags struct {
	target.Flags
	output string
	watch  bool
	info   bool
}

// NewCommand returns `okteto status`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how an environment is: its up, its pod, its files",
		Long: `Shows whether okteto up runs here and how far it is, what the pod does or waits
for, and what is still to be synchronized in each direction.

The exit code is 0 while okteto up runs here, and 3 when none does.`,
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
	set.StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	set.BoolVarP(&f.watch, "watch", "w", false, "go on showing it")
	set.BoolVarP(&f.info, "info", "i", false, "show where the synchronization's own interfaces are")
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

// Report is what the command shows.
type Report struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Context   string `json:"context"`
	// State is what okteto.state says, "" when no `up` runs here.
	State string        `json:"state"`
	Up    *state.Holder `json:"up,omitempty"`
	Pod   *Pod          `json:"pod,omitempty"`
	// ClusterError is why the pod's part is missing.
	ClusterError string           `json:"clusterError,omitempty"`
	Sync         *filesync.Status `json:"sync,omitempty"`
	Log          string           `json:"log,omitempty"`
}

// Pod is the development pod.
type Pod struct {
	Name     string    `json:"name"`
	Node     string    `json:"node,omitempty"`
	Phase    string    `json:"phase"`
	Reason   string    `json:"reason,omitempty"`
	Restarts int32     `json:"restarts"`
	Started  time.Time `json:"started,omitzero"`
}

func run(ctx context.Context, streams ui.Streams, f flags, name string) error {
	if f.output != "" && f.output != "json" {
		return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
	}
	t, err := f.Resolve(name)
	if err != nil {
		return err
	}
	env, err := t.State()
	if err != nil {
		return err
	}
	for {
		report, err := look(ctx, t, env)
		if err != nil {
			return err
		}
		if f.watch && f.output == "" && ui.Lively(streams.Out) {
			fmt.Fprint(streams.Out, "\x1b[H\x1b[2J")
		}
		if err := show(streams.Out, f, env, report); err != nil {
			return err
		}
		if !f.watch {
			if report.Up == nil {
				return &ui.ExitError{Code: inactive}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}

func look(ctx context.Context, t *target.Target, env *state.Env) (*Report, error) {
	r := &Report{Name: t.Dev.Name, Namespace: t.Client.Namespace, Context: t.Client.Context}
	if holder, running := env.Running(); running {
		r.Up = &holder
		var err error
		if r.State, err = env.State(); err != nil {
			return nil, err
		}
		r.Log = env.Path(contract.LogFile)
	}
	if r.Up != nil {
		s, err := filesync.ReadStatus(ctx, env.Dir)
		switch {
		case err == nil:
			r.Sync = &s
		case !errors.Is(err, filesync.ErrNotRunning):
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	pod, err := findPod(limited, t)
	if err != nil {
		if r.Up == nil { // then the cluster is all that could be said
			if nsErr := t.Client.CheckNamespace(limited); nsErr != nil {
				return nil, nsErr
			}
			return nil, err
		}
		r.ClusterError = err.Error()
	}
	r.Pod = pod
	return r, nil
}

func findPod(ctx context.Context, t *target.Target) (*Pod, error) {
	selector := labels.SelectorFromSet(labels.Set{contract.InteractiveLabel: t.Dev.Name}).String()
	list, err := t.Client.Clientset.CoreV1().Pods(t.Client.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, t.Client.Explain(err, "list pods")
	}
	var newest *corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		if newest == nil || (pod.DeletionTimestamp == nil && newest.CreationTimestamp.Before(&pod.CreationTimestamp)) {
			newest = pod
		}
	}
	if newest == nil {
		return nil, nil
	}
	return describe(newest), nil
}

// terminating is the phase of a pod that has been deleted and still ends, as
// kubectl calls it.
const terminating = "Terminating"

// describe says what a pod does or waits for.
func describe(pod *corev1.Pod) *Pod {
	p := &Pod{Name: pod.Name, Node: pod.Spec.NodeName, Phase: string(pod.Status.Phase), Reason: pod.Status.Reason}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			p.Reason = join(c.Reason, c.Message)
		}
	}
	statuses := append(append([]corev1.ContainerStatus(nil), pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
	for _, s := range statuses {
		p.Restarts += s.RestartCount
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			p.Reason = join(s.State.Waiting.Reason, s.State.Waiting.Message)
		case s.State.Running != nil:
			p.Started = s.State.Running.StartedAt.Time
		}
	}
	if pod.DeletionTimestamp != nil {
		p.Phase = terminating
	}
	return p
}

func join(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

func show(w io.Writer, f flags, env *state.Env, r *Report) error {
	if f.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	text := &writer{w: w}
	text.report(r)
	if f.info && r.Up != nil {
		info, err := filesync.ReadInfo(env.Dir)
		if err != nil {
			return err
		}
		text.line("Interfaces", "laptop http://%s, pod http://%s (header X-API-Key is in %s)", info.Local, info.Remote, env.Path(contract.SyncthingInfoFile))
	}
	return text.err
}
