// Package ssh is `okteto ssh`.
package ssh

import (
	"github.com/spf13/cobra"

	"okteto/cli/cmd/exec"
	"okteto/cli/target"
	"okteto/cli/terminal"
	"okteto/cli/ui"
)

// NewCommand returns `okteto ssh`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f target.Flags
	cmd := &cobra.Command{
		Use:   "ssh [NAME]",
		Short: "Open a shell in the development container",
		Long: `Opens a shell in the development container: okteto exec without a command.

While okteto up runs, every SSH client can do the same, and copy files and forward
ports besides: ssh NAME.okteto`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			t, err := f.Resolve(name)
			if err != nil {
				return err
			}
			return exec.Run(cmd.Context(), streams, t, "", terminal.Interactive(streams))
		},
	}
	f.Add(cmd.Flags())
	cmd.ValidArgsFunction = f.Complete
	return cmd
}
