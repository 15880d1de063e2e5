// Package exec is `okteto exec`.
package exec

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"okteto/cli/attach"
	"okteto/cli/target"
	"okteto/cli/terminal"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

type flags struct {
	target.Flags
	noTTY bool
}

// NewCommand returns `okteto exec`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "exec [NAME] [flags] [-- COMMAND [ARG...]]",
		Short: "Run a command in the development container",
		Long: `Runs a command in the development container, or a shell if there is none, with
or without a running okteto up.

The exit code is the command's, 128+n if signal n ended it. Standard input and
both outputs are passed on byte for byte; the command gets a terminal only when
there is one here. Such a terminal outlives a loss of the connection.`,
		Example: `  okteto exec
  okteto exec -- make test
  pg_dump db | okteto exec -- psql`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, streams, f, args) },
	}
	f.Add(cmd.Flags())
	cmd.Flags().BoolVar(&f.noTTY, "no-tty", false, "give the command no terminal even if there is one")
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func run(cmd *cobra.Command, streams ui.Streams, f flags, args []string) error {
	name, command := split(cmd, args)
	t, err := f.Resolve(name)
	if err != nil && name != "" && cmd.ArgsLenAtDash() < 0 {
		// Without dashes it may be a command, as the first versions had it:
		// okteto exec "make test".
		if alone, aloneErr := f.Resolve(""); aloneErr == nil {
			t, err, command = alone, nil, args
		}
	}
	if err != nil {
		return err
	}
	tty := terminal.Interactive(streams) && !f.noTTY
	if os.Getenv(contract.EnvExecuteSSH) == "false" {
		return overAPI(cmd.Context(), streams, t, command, tty)
	}
	return Run(cmd.Context(), streams, t, terminal.Join(command), tty)
}

// split tells the environment's name from the command after the dashes.
func split(cmd *cobra.Command, args []string) (name string, command []string) {
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		args, command = args[:dash], args[dash:]
	}
	if len(args) > 0 {
		name = args[0]
		command = append(args[1:len(args):len(args)], command...)
	}
	return name, command
}

// Run runs a command, or a shell if it is empty, over SSH.
func Run(ctx context.Context, streams ui.Streams, t *target.Target, command string, tty bool) error {
	log := slog.New(slog.DiscardHandler)
	session, err := attach.Open(ctx, t, log)
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := session.First(ctx); err != nil {
		return err
	}
	for {
		// The signals that end ctx are the command's to handle.
		code, err := terminal.Run(context.WithoutCancel(ctx), terminal.Options{
			Connect: session.Connect, Command: command, TTY: tty, ID: randomID(), Once: true,
			AgentSocket: terminal.AgentSocket(), Streams: streams, Log: log,
		})
		if command == "" && errors.Is(err, terminal.ErrGone) {
			fmt.Fprintln(streams.ErrOut, "! the shell is gone with its container, a new one begins")
			continue
		}
		return result(code, err)
	}
}

func result(code int, err error) error {
	switch {
	case errors.Is(err, terminal.ErrLeft):
		return &ui.ExitError{Code: terminal.ExitUnknown}
	case errors.Is(err, terminal.ErrGone):
		return &ui.Problem{
			Summary: "the container was replaced while the command ran in it, and how it ended is not known",
			Hint:    "the command is not run a second time unasked",
			Cause:   err, Code: terminal.ExitUnknown,
		}
	case errors.Is(err, terminal.ErrLost):
		return &ui.Problem{
			Summary: "the connection to the pod was lost while the command ran, and how it ended is not known",
			Cause:   err, Code: terminal.ExitUnknown,
		}
	case err != nil:
		return err
	case code != 0:
		return &ui.ExitError{Code: code}
	}
	return nil
}

func randomID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return "exec-" + hex.EncodeToString(id)
}
