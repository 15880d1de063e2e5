// Package wait is `okteto wait`.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/internal/engine"
)

type flags struct {
	target.Flags
	timeout time.Duration
}

// NewCommand returns `okteto wait`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "wait [NAME]",
		Short: "Wait until what was saved is in place on the other side",
		Long: `Blocks until every file that was saved before the call, on the laptop or in the
container, is in place on the other side. For scripts: save, wait, run.

The exit code is 0 when all is in place, and 1 when it is not, be it that the
time is over, that a file cannot be put in place, or that okteto up does not run.`,
		Example: "  git checkout main && okteto wait && okteto exec -- make test",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return run(cmd.Context(), f, name)
		},
	}
	f.Add(cmd.Flags())
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "give up after this long, such as 30s (default: never)")
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

var errTimeout = errors.New("the time is over")

func run(ctx context.Context, f flags, name string) error {
	t, err := f.Resolve(name)
	if err != nil {
		return err
	}
	env, err := t.State()
	if err != nil {
		return err
	}
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, errTimeout)
		defer cancel()
	}
	return explain(ctx, f, filesync.Wait(ctx, env.Dir))
}

func explain(ctx context.Context, f flags, err error) error {
	var unsettled *engine.UnsettledError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, filesync.ErrNotRunning):
		return &ui.Problem{Summary: "nothing is synchronized here", Cause: err, Hint: "start it with: okteto up"}
	case errors.As(err, &unsettled):
		return &ui.Problem{Summary: fmt.Sprintf("%d items are not in place", len(unsettled.Items)), Cause: err, Hint: "see why with: okteto status"}
	case ctx.Err() != nil && f.timeout > 0:
		return &ui.Problem{Summary: fmt.Sprintf("not everything is in place after %v", f.timeout), Cause: err, Hint: "see what is missing with: okteto status"}
	}
	return &ui.Problem{Summary: "cannot wait for the synchronization", Cause: err, Hint: "see its state with: okteto status"}
}
