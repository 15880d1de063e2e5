// Package initcmd is `okteto init`.
package initcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"okteto/cli/kube"
	"okteto/cli/manifest"
	"okteto/cli/stack"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/cli/workload"
	"okteto/internal/contract"
)

// clusterLimit is how long the cluster may take to say what runs there; a
// manifest can be written without it.
const clusterLimit = 10 * time.Second

type flags struct {
	target.Flags
	force bool
}

// NewCommand returns `okteto init`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "init [WORKLOAD]",
		Short: "Write a first okteto.yml for this folder and a workload",
		Long: `Looks at what this folder is written in and at the workloads of the namespace, and
writes an okteto.yml that develops one of them, and a .stignore. The workload is
the one that is named, or is called like the folder, or is the only one.`,
		Example: `  okteto init
  okteto init api -n payments`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return run(cmd.Context(), streams, f, name)
		},
	}
	f.Add(cmd.Flags())
	cmd.Flags().Lookup("file").Usage = "path of the manifest to write (default okteto.yml)"
	cmd.Flags().BoolVar(&f.force, "force", false, "replace a manifest that exists")
	return cmd
}

func run(ctx context.Context, streams ui.Streams, f flags, name string) error {
	path := f.File
	if path == "" {
		path = contract.ManifestFile
	}
	if err := mayWrite(path, f.force); err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("locate the folder: %w", err)
	}
	chosen, looked, err := choose(ctx, streams, f, name, dir)
	if err != nil {
		return err
	}
	if chosen != nil {
		name = chosen.Meta().Name
	} else if name == "" {
		name = folderName(dir)
	}
	language := stack.Detect(dir)
	if err := write(path, compose(name, chosen, looked, language), f.force); err != nil {
		return err
	}
	if _, err := manifest.Load(path); err != nil {
		return target.Explain(err, path)
	}
	fmt.Fprintf(streams.Out, "wrote %s%s\n", path, about(chosen, language))
	ignore := filepath.Join(filepath.Dir(path), contract.IgnoreFile)
	switch err := write(ignore, stack.IgnoreFile(language), false); {
	case err == nil:
		fmt.Fprintf(streams.Out, "wrote %s\n", ignore)
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	fmt.Fprintln(streams.Out, "now: okteto up")
	return nil
}

func about(w *workload.Workload, s *stack.Stack) string {
	var parts []string
	if w != nil {
		parts = append(parts, w.String())
	}
	if s != nil {
		parts = append(parts, s.Name)
	}
	if len(parts) == 0 {
		return ""
	}
	return " for " + strings.Join(parts, ", ")
}

func mayWrite(path string, force bool) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && force:
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	}
	return &ui.Problem{Summary: path + " exists already", Hint: "edit it, or replace it with --force"}
}

// write makes a file, and never replaces one unless told to.
func write(path, content string, replace bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// choose returns the workload to develop, or nil when nothing is in the
// namespace, or, then looked is false, there was no cluster to ask.
func choose(ctx context.Context, streams ui.Streams, f flags, name, dir string) (chosen *workload.Workload, looked bool, err error) {
	asked, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	client, found, err := workloads(asked, f)
	if err != nil {
		if f.Context != "" || f.Namespace != "" || name != "" || ctx.Err() != nil {
			return nil, false, err // the user meant a cluster
		}
		fmt.Fprintf(streams.ErrOut, "warning: %v; writing a manifest without looking at a workload\n", err)
		return nil, false, nil
	}
	if name == "" && len(found) == 1 {
		return found[0], true, nil
	}
	wanted := name
	if wanted == "" {
		wanted = folderName(dir)
	}
	known := make([]string, len(found))
	for i, w := range found {
		if w.Meta().Name == wanted {
			return w, true, nil
		}
		known[i] = w.Meta().Name
	}
	switch {
	case name != "":
		hint := "there are: " + strings.Join(known, ", ")
		if guess := manifest.Suggest(name, known); guess != "" {
			hint = "did you mean " + guess + "?"
		} else if len(known) == 0 {
			hint = "there is none: deploy the application first, or leave the name out"
		}
		return nil, true, &ui.Problem{Summary: fmt.Sprintf("namespace %q has no deployment or statefulset %s", client.Namespace, name), Hint: hint}
	case len(found) == 0:
		fmt.Fprintf(streams.ErrOut, "warning: nothing runs in namespace %s; the manifest will create a workload of its own\n", client.Namespace)
		return nil, true, nil
	}
	chosen, err = ask(streams, client.Namespace, found)
	return chosen, true, err
}

func workloads(ctx context.Context, f flags) (*kube.Client, []*workload.Workload, error) {
	client, err := kube.Load(kube.Options{Context: f.Context, Namespace: f.Namespace})
	if err != nil {
		return nil, nil, err
	}
	if err := client.CheckNamespace(ctx); err != nil {
		return client, nil, err
	}
	found, err := workload.List(ctx, client.Clientset, client.Namespace)
	if err != nil {
		return client, nil, client.Explain(err, "list the workloads of namespace "+client.Namespace)
	}
	return client, found, nil
}

// ask lets the user choose, where there is one.
func ask(streams ui.Streams, namespace string, found []*workload.Workload) (*workload.Workload, error) {
	var known []string
	for _, w := range found {
		known = append(known, w.Meta().Name)
	}
	if _, ok := ui.Terminal(streams.In); !ok {
		return nil, &ui.Problem{
			Summary: fmt.Sprintf("namespace %q has several workloads", namespace),
			Detail:  strings.Join(known, "\n"), Hint: "name one: okteto init " + known[0],
		}
	}
	fmt.Fprintf(streams.ErrOut, "Workloads of namespace %s:\n", namespace)
	for i, w := range found {
		fmt.Fprintf(streams.ErrOut, "  %d  %s\n", i+1, w)
	}
	answers := bufio.NewScanner(streams.In)
	for {
		fmt.Fprintf(streams.ErrOut, "Which one will you develop? [1-%d] ", len(found))
		if !answers.Scan() {
			return nil, errors.Join(&ui.Problem{Summary: "no workload was chosen"}, answers.Err())
		}
		if n, err := strconv.Atoi(strings.TrimSpace(answers.Text())); err == nil && n >= 1 && n <= len(found) {
			return found[n-1], nil
		}
	}
}

// folderName makes a name from a folder's.
func folderName(dir string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, filepath.Base(dir)), "-")
	const most = 40
	if len(name) > most {
		name = strings.Trim(name[:most], "-")
	}
	if name == "" {
		return "app"
	}
	return name
}
