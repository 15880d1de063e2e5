// Package sync is `okteto sync`.
package sync

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
)

// NewCommand returns `okteto sync`.
func NewCommand(streams ui.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Look after the file synchronization",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(resumeCommand(streams), conflictsCommand(streams))
	return cmd
}

func resumeCommand(streams ui.Streams) *cobra.Command {
	var f target.Flags
	cmd := &cobra.Command{
		Use:   "resume [NAME]",
		Short: "Go on with a folder that was stopped because most of its files were gone",
		Long: `A folder whose root was emptied, replaced or unmounted is stopped: nothing is
deleted on the other side. If the files are gone on purpose, this command goes on,
and they are deleted on the other side as well, where the trash keeps them.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := homeOf(f, args)
			if err != nil {
				return err
			}
			resumed, err := filesync.Resume(cmd.Context(), home)
			if err != nil {
				return explain(err)
			}
			if len(resumed) == 0 {
				fmt.Fprintln(streams.Out, "no folder is stopped")
			}
			for _, path := range resumed {
				fmt.Fprintln(streams.Out, "goes on:", path)
			}
			return nil
		},
	}
	f.Add(cmd.Flags())
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func conflictsCommand(streams ui.Streams) *cobra.Command {
	var f target.Flags
	cmd := &cobra.Command{
		Use:   "conflicts [NAME]",
		Short: "List the copies that were kept because both sides changed a file",
		Long: `When both sides change a file before they know of each other, the newer one keeps
the name, and the other is kept beside it as NAME.sync-conflict-TIME-DEVICE. Keep
what you want of both and delete the copy.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := homeOf(f, args)
			if err != nil {
				return err
			}
			conflicts, err := filesync.Conflicts(cmd.Context(), home)
			if err != nil {
				return explain(err)
			}
			for _, path := range conflicts {
				fmt.Fprintln(streams.Out, path)
			}
			return nil
		},
	}
	f.Add(cmd.Flags())
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func explain(err error) error {
	if errors.Is(err, filesync.ErrNotRunning) {
		return &ui.Problem{Summary: "nothing is synchronized here", Cause: err, Hint: "start it with: okteto up"}
	}
	return &ui.Problem{Summary: "the synchronization did not do it", Cause: err, Hint: "see its state with: okteto status"}
}

func homeOf(f target.Flags, args []string) (string, error) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	t, err := f.Resolve(name)
	if err != nil {
		return "", err
	}
	env, err := t.State()
	if err != nil {
		return "", err
	}
	return env.Dir, nil
}
