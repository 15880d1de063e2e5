// Package target finds what a command works on: the environment in the manifest,
// and the cluster and namespace that it is in.
package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"okteto/cli/kube"
	"okteto/cli/manifest"
	"okteto/cli/state"
	"okteto/cli/ui"
	"okteto/cli/workload"
)

// Flags that every command with an environment has.
type Flags struct {
	// File, Namespace and Context are empty unless given.
	File, Namespace, Context string
}

// Add defines the flags.
func (f *Flags) Add(set *pflag.FlagSet) {
	set.StringVarP(&f.File, "file", "f", "", "path of the manifest (default okteto.yml of this folder)")
	set.StringVarP(&f.Namespace, "namespace", "n", "", "namespace of the workload (default $OKTETO_NAMESPACE, the manifest's, the kubeconfig's)")
	set.StringVarP(&f.Context, "context", "c", "", "context of the kubeconfig (default $OKTETO_CONTEXT, the manifest's, the current one)")
}

// Target is an environment in a cluster.
type Target struct {
	Manifest *manifest.Manifest
	Dev      *manifest.Dev
	Client   *kube.Client
}

// Resolve reads the manifest, chooses the environment called name, or the only
// one if name is empty, and finds the cluster. It makes no request and no file.
func (f Flags) Resolve(name string) (*Target, error) {
	m, err := manifest.Load(f.File)
	if err != nil {
		return nil, Explain(err, f.File)
	}
	dev, err := m.Dev(name)
	if err != nil {
		return nil, Explain(err, f.File)
	}
	client, err := kube.Load(kube.Options{
		Context: f.Context, Namespace: f.Namespace,
		ManifestContext: dev.Context, ManifestNamespace: dev.Namespace,
	})
	if err != nil {
		return nil, err
	}
	return &Target{Manifest: m, Dev: dev, Client: client}, nil
}

// Workload is the target as package workload wants it.
func (t *Target) Workload() workload.Target {
	return workload.Target{Client: t.Client.Clientset, Namespace: t.Client.Namespace, Dev: t.Dev}
}

// State is the environment's folder on the laptop; it need not exist.
func (t *Target) State() (*state.Env, error) {
	return state.Locate(t.Client.Namespace, t.Dev.Name)
}

// fileOf names a file that a manifest consists of: itself, or its .env.
func fileOf(path string) string {
	name := filepath.Base(path)
	switch filepath.Ext(name) {
	case ".yml", ".yaml":
		return "the manifest " + name
	}
	return name
}

// Explain turns an error of the manifest into a problem.
func Explain(err error, file string) error {
	var invalid *manifest.Error
	var missing *manifest.NoDevError
	switch {
	case errors.As(err, &invalid):
		path := file
		if len(invalid.Issues) > 0 {
			path = invalid.Issues[0].Path
		}
		return &ui.Problem{
			Summary: fmt.Sprintf("%s is not valid", fileOf(path)),
			Detail:  invalid.Error(),
			Hint:    "correct it, then check it with: okteto validate",
			Cause:   err,
		}
	case errors.Is(err, manifest.ErrNotFound):
		dir, _ := os.Getwd()
		if file != "" {
			return &ui.Problem{
				Summary: "there is no manifest at " + file, Cause: err,
				Hint: "correct the path after -f, or write a first manifest with: okteto init",
			}
		}
		problem := &ui.Problem{
			Summary: "there is no okteto.yml in " + dir, Cause: err,
			Detail: "looked for " + strings.Join(manifest.Candidates(), ", "),
			Hint:   "write a first one with: okteto init\nor name one with -f",
		}
		if above := inFolderAbove(dir); above != "" {
			problem.Hint = fmt.Sprintf("there is one in a folder above: cd %s\nor name it: -f %s", filepath.Dir(above), above)
		}
		return problem
	case errors.As(err, &missing):
		if missing.Name == "" {
			return &ui.Problem{
				Summary: "which environment? The manifest has several: " + strings.Join(missing.Has, ", "),
				Hint:    "name one: okteto COMMAND NAME", Cause: err, Detail: missing.Path,
			}
		}
		problem := &ui.Problem{
			Summary: fmt.Sprintf("the manifest %s has no environment %q", filepath.Base(missing.Path), missing.Name),
			Hint:    "it has: " + strings.Join(missing.Has, ", "), Cause: err, Detail: missing.Path,
		}
		if guess := manifest.Suggest(missing.Name, missing.Has); guess != "" {
			problem.Hint = fmt.Sprintf("did you mean %s? %s", guess, problem.Hint)
		}
		return problem
	}
	return err
}

// inFolderAbove finds a manifest that okteto does not take by itself: its paths are
// relative to its own folder.
func inFolderAbove(dir string) string {
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		for _, name := range manifest.Candidates() {
			path := filepath.Join(parent, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path
			}
		}
	}
	return ""
}

// Complete completes the name of an environment of the manifest.
func (f *Flags) Complete(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	m, err := manifest.Load(f.File)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, name := range m.Names() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// Explain turns an error of the workload's or the cluster's into a problem. action
// completes "cannot …".
func (t *Target) Explain(err error, action string) error {
	if problem := (*ui.Problem)(nil); err == nil || errors.As(err, &problem) {
		return err
	}
	where := fmt.Sprintf("in namespace %q of context %q", t.Client.Namespace, t.Client.Context)
	var pod *workload.PodError
	switch {
	case errors.Is(err, workload.ErrNotFound):
		return &ui.Problem{
			Summary: "there is no such workload " + where, Detail: err.Error(), Cause: err,
			Hint: "correct name or selector in the manifest, or choose another namespace with -n\nlook at what there is: kubectl get deployments,statefulsets -n " + t.Client.Namespace,
		}
	case errors.Is(err, workload.ErrAmbiguous):
		return &ui.Problem{
			Summary: "the manifest means several workloads " + where, Detail: err.Error(), Cause: err,
			Hint: "add labels to selector until one is left",
		}
	case errors.Is(err, workload.ErrNotAllowed), errors.Is(err, workload.ErrHeld):
		return &ui.Problem{Summary: "cannot " + action, Cause: err}
	case errors.As(err, &pod):
		detail := strings.TrimSpace(pod.Reason + ": " + pod.Message)
		if log := strings.TrimSpace(pod.Log); log != "" {
			detail += "\nlast lines of its log:\n  " + strings.ReplaceAll(log, "\n", "\n  ")
		}
		summary := "the development pod cannot run"
		if pod.Pod != "" {
			summary = fmt.Sprintf("the development pod %s cannot run", pod.Pod)
		}
		return &ui.Problem{Summary: summary, Detail: detail, Hint: pod.Hint, Cause: err}
	}
	return t.Client.Explain(err, action)
}
