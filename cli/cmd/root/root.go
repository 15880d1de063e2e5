// Package root assembles the okteto command from its subcommands and turns what
// they return into an exit code.
package root

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	containerdlog "github.com/containerd/log"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"okteto/cli/cmd/build"
	"okteto/cli/cmd/doctor"
	"okteto/cli/cmd/down"
	"okteto/cli/cmd/exec"
	"okteto/cli/cmd/initcmd"
	"okteto/cli/cmd/logs"
	"okteto/cli/cmd/namespace"
	"okteto/cli/cmd/pipeline"
	"okteto/cli/cmd/ssh"
	"okteto/cli/cmd/status"
	"okteto/cli/cmd/sync"
	"okteto/cli/cmd/syncthing"
	"okteto/cli/cmd/trash"
	"okteto/cli/cmd/up"
	"okteto/cli/cmd/validate"
	"okteto/cli/cmd/verify"
	"okteto/cli/cmd/version"
	"okteto/cli/cmd/wait"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// Exit codes. `exec`, `ssh` and a foreground `up` pass on the code of the command
// that ran in the pod, 128+n when a signal ended it; and what signal n keeps from
// being done ends with 128+n as well.
const (
	exitOK    = 0
	exitError = 1
)

// Run runs okteto with args to its end and returns the exit code. The
// signals that ask a program to end cancel the command's context.
func Run(streams ui.Streams, args []string) int {
	quietLibraries()
	ctx, stop := ui.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	cmd := newCommand(streams)
	cmd.SetArgs(args)
	cmd.SetIn(streams.In)
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	err := ui.Interrupted(ctx, cmd.ExecuteContext(ctx))
	ui.Print(streams.ErrOut, err)
	return exitCode(err)
}

func exitCode(err error) int {
	var exit *ui.ExitError
	var problem *ui.Problem
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &problem) && problem.Code != 0:
		return problem.Code
	}
	return exitError
}

func newCommand(streams ui.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "okteto",
		Short: "Develop inside a Kubernetes pod, from your own editor",
		Long: `okteto puts a development container in place of a workload's own, keeps your
folder and the pod's the same in both directions, and connects ports and
terminals. When you are done, ` + "`okteto down`" + ` leaves the workload as it was.`,
		Version:       contract.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	for _, newCommand := range []func(ui.Streams) *cobra.Command{
		up.NewCommand, down.NewCommand, exec.NewCommand, ssh.NewCommand, status.NewCommand,
		logs.NewCommand, doctor.NewCommand,
		wait.NewCommand, verify.NewCommand, trash.NewCommand, sync.NewCommand,
		initcmd.NewCommand, validate.NewCommand, namespace.NewCommand,
		build.NewCommand, pipeline.NewCommand,
		version.NewCommand, syncthing.NewCommand,
	} {
		cmd.AddCommand(newCommand(streams))
	}
	return cmd
}

// quietLibraries keeps the clients of Kubernetes and of registries from writing to
// the user's terminal; what matters comes back as an error. OKTETO_DEBUG=1 lets
// them speak.
func quietLibraries() {
	if os.Getenv("OKTETO_DEBUG") != "" {
		return
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	containerdlog.L.Logger.SetOutput(io.Discard)
}
