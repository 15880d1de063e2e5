// Package syncthing is the hidden command `okteto syncthing`: the sync daemon,
// which `okteto up` runs as a child of itself.
package syncthing

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"okteto/cli/sync"
	"okteto/cli/ui"
)

// NewCommand returns `okteto syncthing`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:    "syncthing --home DIR",
		Short:  "Synchronize files (run by okteto up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if home == "" {
				return errors.New("--home is needed")
			}
			return sync.Serve(cmd.Context(), sync.ServeOptions{Home: home, Parent: os.Stdin, Ready: streams.Out, Log: streams.ErrOut})
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "folder of the environment")
	return cmd
}
