// Package verify is `okteto verify`.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"okteto/cli/attach"
	"okteto/cli/seed"
	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
)

type flags struct {
	target.Flags
	output string
}

// NewCommand returns `okteto verify`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "verify [NAME]",
		Short: "Compare the laptop's files with the container's, by content",
		Long: `Reads every synchronized file on both sides and compares contents, modes and
links, whatever the synchronization itself believes. It changes nothing.

The exit code is 0 when both sides are equal and 1 when they are not. Files that
are saved while it runs may be listed; run okteto wait before.`,
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
	cmd.Flags().StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	cmd.ValidArgsFunction = f.Complete
	return cmd
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
	info, err := filesync.ReadInfo(env.Dir)
	if err != nil {
		return &ui.Problem{Summary: "cannot compare", Cause: err, Hint: "start it with: okteto up"}
	}
	session, err := attach.Open(ctx, t, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer session.Close()
	client, err := session.First(ctx)
	if err != nil {
		return err
	}
	var folders []seed.Folder
	for _, folder := range info.Folders {
		folders = append(folders, seed.Folder{ID: folder.Name, LocalPath: folder.LocalPath, RemotePath: folder.RemotePath})
	}
	found, err := seed.Verify(ctx, client.Client, folders)
	if errors.Is(err, seed.ErrUnsupported) {
		return &ui.Problem{Summary: "the container's agents cannot compare", Cause: err, Hint: "use the init image of this release"}
	}
	if err != nil {
		return &ui.Problem{Summary: "cannot compare", Cause: err}
	}
	return show(streams, f, found)
}

func show(streams ui.Streams, f flags, found []seed.Difference) error {
	if f.output == "json" {
		type item struct {
			Folder string `json:"folder"`
			Path   string `json:"path"`
			What   string `json:"difference"`
		}
		items := []item{}
		for _, d := range found {
			items = append(items, item{d.Folder.LocalPath, d.Path, d.What})
		}
		if err := json.NewEncoder(streams.Out).Encode(items); err != nil {
			return err
		}
	} else {
		for _, d := range found {
			fmt.Fprintf(streams.Out, "%s/%s: %s\n", d.Folder.LocalPath, d.Path, d.What)
		}
	}
	if len(found) > 0 {
		return &ui.Problem{Summary: fmt.Sprintf("%d differences", len(found)), Hint: "see what the synchronization does with: okteto status"}
	}
	if f.output == "" {
		fmt.Fprintln(streams.Out, "both sides are equal")
	}
	return nil
}
