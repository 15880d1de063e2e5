// Package trash is `okteto trash`.
package trash

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// NewCommand returns `okteto trash`.
func NewCommand(streams ui.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "Files that changes from the container replaced or deleted here",
		Long: `What a change from the container replaces or deletes on the laptop is kept for
seven days, outside of your folder. These commands list it and put it back.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(listCommand(streams), restoreCommand(streams))
	return cmd
}

func listCommand(streams ui.Streams) *cobra.Command {
	var f target.Flags
	var name, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was replaced or deleted, newest first",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			home, roots, err := locate(f, name)
			if err != nil {
				return err
			}
			items, err := filesync.ListTrash(home)
			if err != nil {
				return err
			}
			return list(streams, output, items, roots)
		},
	}
	f.Add(cmd.Flags())
	cmd.Flags().StringVar(&name, "name", "", "environment, if the manifest has several")
	cmd.Flags().StringVarP(&output, "output", "o", "", `"json" for scripts`)
	return cmd
}

func list(streams ui.Streams, output string, items []filesync.Trashed, roots map[string]string) error {
	switch output {
	case "json":
		if items == nil {
			items = []filesync.Trashed{}
		}
		return json.NewEncoder(streams.Out).Encode(items)
	case "":
	default:
		return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", output), Hint: "the only one is: json"}
	}
	if len(items) == 0 {
		fmt.Fprintln(streams.Out, "the trash is empty")
		return nil
	}
	w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tBYTES\tFILE")
	for _, item := range items {
		fmt.Fprintf(w, "%s\t%d\t%s\n", item.Time.Format(time.DateTime), item.Size, fromHere(roots, item))
	}
	return w.Flush()
}

// fromHere is the file's path as it is typed in the working folder, so that what
// is listed can be given to restore.
func fromHere(roots map[string]string, item filesync.Trashed) string {
	root, known := roots[item.Folder]
	if !known { // a folder that the manifest has no more
		return item.Path
	}
	path := filepath.Join(root, item.Path)
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func restoreCommand(streams ui.Streams) *cobra.Command {
	var f target.Flags
	var name, before string
	cmd := &cobra.Command{
		Use:   "restore FILE...",
		Short: "Put the newest version in the trash back",
		Long: `Puts files back where they were; of a folder, every file in it that is missing.
What is there now goes to the trash in turn. The restored file counts as saved now,
and so it goes to the container as well.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			at, err := parseTime(before)
			if err != nil {
				return err
			}
			home, roots, err := locate(f, name)
			if err != nil {
				return err
			}
			for _, path := range args {
				restored, err := filesync.Restore(home, roots, path, at)
				for _, file := range restored {
					fmt.Fprintln(streams.Out, "restored", file)
				}
				if errors.Is(err, filesync.ErrNotInTrash) {
					return &ui.Problem{Summary: path + " is not in the trash", Hint: "see what is with: okteto trash list"}
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.Add(cmd.Flags())
	cmd.Flags().StringVar(&name, "name", "", "environment, if the manifest has several")
	cmd.Flags().StringVar(&before, "before", "", `take the newest version not after this, as listed ("2006-01-02 15:04:05")`)
	return cmd
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.ParseInLocation(time.DateTime, text, time.Local)
	if err != nil {
		return at, &ui.Problem{Summary: fmt.Sprintf("%q is no time", text), Hint: `write it as listed: "2006-01-02 15:04:05"`, Cause: err}
	}
	return at, nil
}

// locate returns the environment's folder on this machine, and the local paths of
// its synchronized folders by their ids.
func locate(f target.Flags, name string) (home string, roots map[string]string, err error) {
	t, err := f.Resolve(name)
	if err != nil {
		return "", nil, err
	}
	env, err := t.State()
	if err != nil {
		return "", nil, err
	}
	roots = map[string]string{}
	for i, folder := range t.Dev.Sync.Folders {
		roots[fmt.Sprintf("%s%d", contract.FolderIDPrefix, i+1)] = folder.LocalPath
	}
	return env.Dir, roots, nil
}
