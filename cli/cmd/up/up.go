// Package up is `okteto up`.
package up

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/cli/up"
)

type flags struct {
	target.Flags
	environment []string
	remote      int
	detach      bool
	background  bool
	reset       bool
	takeOver    bool
	dryRun      bool
	build       bool
}

// NewCommand returns `okteto up`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "up [NAME] [flags] [-- COMMAND [ARG...]]",
		Short: "Put a development container in a workload's place and connect to it",
		Long: `Puts a development container in the place of the workload that the manifest
names, synchronizes folders in both directions, forwards ports, and runs the
manifest's command, or a shell, in it.

It keeps all of that alive, whatever happens to the pod or to the network, until
the command ends, you leave the terminal with ~. at the start of a line, or
` + "`okteto down`" + ` runs. Without a terminal it runs the command if there is one, and
else stays until it is told to end.`,
		Example: `  okteto up
  okteto up --detach && okteto exec -- make test
  okteto up -- npm run dev`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, streams, f, args) },
	}
	set := cmd.Flags()
	f.Add(set)
	set.StringArrayVarP(&f.environment, "env", "e", nil, "set a variable in the container: NAME=VALUE, or NAME for its value here")
	set.IntVarP(&f.remote, "remote", "r", 0, "the laptop's SSH port (default the manifest's, or a free one)")
	set.BoolVarP(&f.detach, "detach", "d", false, "return when the environment is ready and go on in the background")
	set.BoolVar(&f.reset, "reset", false, "forget what the synchronization knows, and compare all files again")
	set.BoolVar(&f.takeOver, "take-over", false, "end another okteto up of this environment first")
	set.BoolVar(&f.dryRun, "dry-run", false, "print what would be applied to the cluster, and change nothing")
	set.BoolVar(&f.build, "build", false, "build and push the image as the manifest says, and use that very one")
	set.BoolVar(&f.background, backgroundFlag, false, "")
	if err := set.MarkHidden(backgroundFlag); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func run(cmd *cobra.Command, streams ui.Streams, f flags, args []string) error {
	name, command, err := split(cmd, args)
	if err != nil {
		return err
	}
	if f.detach && !f.background && !f.dryRun {
		if err := askFirst(cmd.Context(), streams, f, name); err != nil {
			return err
		}
		return detach(cmd.Context(), streams, os.Args[1:])
	}
	if f.background {
		return background(cmd.Context(), streams, func(ctx context.Context, o up.Options) error {
			return start(ctx, o, f, name, command)
		})
	}
	report := newForeground(streams)
	defer report.Close()
	o := up.Options{Streams: streams, Report: report, Ask: asker(cmd.Context(), streams)}
	return start(cmd.Context(), o, f, name, command)
}

func start(ctx context.Context, o up.Options, f flags, name string, command []string) error {
	t, err := f.Resolve(name)
	if err != nil {
		return err
	}
	for _, text := range f.environment {
		v, err := up.ParseVariable(text)
		if err != nil {
			return err
		}
		o.Environment = append(o.Environment, v)
	}
	o.Target, o.Command, o.RemotePort, o.Reset = t, command, f.remote, f.reset
	o.TakeOver, o.DryRun = f.takeOver, f.dryRun
	if err := image(ctx, &o, f.build); err != nil {
		return err
	}
	return up.Run(ctx, o)
}

// split tells the environment's name, before the dashes, from the command after
// them. A command is nil unless there are dashes.
func split(cmd *cobra.Command, args []string) (name string, command []string, err error) {
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		args, command = args[:dash], args[dash:]
		if len(command) == 0 {
			return "", nil, &ui.Problem{Summary: "there is no command after --", Hint: "write it there, or leave out the dashes"}
		}
	}
	switch len(args) {
	case 0:
		return "", command, nil
	case 1:
		return args[0], command, nil
	}
	return "", nil, &ui.Problem{
		Summary: fmt.Sprintf("up takes one name, not %q", strings.Join(args, " ")),
		Hint:    "a command comes after dashes: okteto up -- " + strings.Join(args, " "),
	}
}
