// Package trash is `okteto trash`.
package trash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/internal/trash"
)

// flags of both commands.
type flags struct {
	target.Flags
	name string
	pod  bool
}

func (f *flags) add(set *pflag.FlagSet) {
	f.Add(set)
	set.StringVar(&f.name, "name", "", "environment, if the manifest has several")
	set.BoolVar(&f.pod, "pod", false, "the container's trash: what changes from here replaced or deleted there")
}

// can is one end's trash.
type can interface {
	list(context.Context) ([]trash.Item, error)
	// restore returns trash.ErrAbsent if there is nothing to restore.
	restore(ctx context.Context, path string, at time.Time) ([]string, error)
	// show is a file's path as it can be given to restore.
	show(trash.Item) string
	close()
}

// open finds the trash that is meant.
func (f *flags) open(ctx context.Context) (can, error) {
	t, err := f.Resolve(f.name)
	if err != nil {
		return nil, err
	}
	if f.pod {
		return openPod(ctx, t)
	}
	return openLaptop(t)
}

// NewCommand returns `okteto trash`.
func NewCommand(streams ui.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "Files that the synchronization replaced or deleted",
		Long: `What a change from the container replaces or deletes on the laptop is kept for
seven days, outside of your folder. These commands list it and put it back.

With --pod they do so with what changes from the laptop replaced or deleted in the
container, and what the first okteto up set aside there.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(listCommand(streams), restoreCommand(streams))
	return cmd
}

func listCommand(streams ui.Streams) *cobra.Command {
	var f flags
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was replaced or deleted, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", output), Hint: "the only one is: json"}
			}
			c, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer c.close()
			items, err := c.list(cmd.Context())
			if err != nil {
				return err
			}
			return list(streams, output, items, c.show)
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "", `"json" for scripts`)
	return cmd
}

func list(streams ui.Streams, output string, items []trash.Item, show func(trash.Item) string) error {
	if output == "json" {
		if items == nil {
			items = []trash.Item{}
		}
		return json.NewEncoder(streams.Out).Encode(items)
	}
	if len(items) == 0 {
		fmt.Fprintln(streams.Out, "the trash is empty")
		return nil
	}
	w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tBYTES\tFILE")
	for _, item := range items {
		fmt.Fprintf(w, "%s\t%d\t%s\n", item.Time.Format(time.DateTime), item.Size, show(item))
	}
	return w.Flush()
}

func restoreCommand(streams ui.Streams) *cobra.Command {
	var f flags
	var before string
	cmd := &cobra.Command{
		Use:   "restore FILE...",
		Short: "Put the newest version in the trash back",
		Long: `Puts files back where they were; of a folder, every file in it that is missing.
What is there now goes to the trash in turn. The restored file counts as saved now,
and so it goes to the other side as well.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseTime(before)
			if err != nil {
				return err
			}
			c, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer c.close()
			for _, path := range args {
				restored, err := c.restore(cmd.Context(), path, at)
				for _, file := range restored {
					fmt.Fprintln(streams.Out, "restored", file)
				}
				if errors.Is(err, trash.ErrAbsent) {
					return f.absent(path)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&before, "before", "", `take the newest version not after this, as listed ("2006-01-02 15:04:05")`)
	return cmd
}

func (f *flags) absent(path string) error {
	if f.pod {
		return &ui.Problem{Summary: path + " is not in the container's trash", Hint: "see what is with: okteto trash list --pod"}
	}
	return &ui.Problem{Summary: path + " is not in the trash", Hint: "see what is with: okteto trash list"}
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
