package up

import (
	"context"
	"strings"

	"okteto/cli/terminal"
	"okteto/cli/ui"
	"okteto/cli/up"
)

// asker asks the user what yes or no answers, yes being usual; nil without a
// terminal.
func asker(ctx context.Context, streams ui.Streams) func(string) (bool, error) {
	if !terminal.Interactive(streams) {
		return nil
	}
	return func(question string) (bool, error) {
		for {
			answer, err := ui.Ask(ctx, streams, question+" [Y/n] ")
			switch {
			case ctx.Err() != nil:
				return false, &ui.ExitError{Code: ui.InterruptCode(ctx)}
			case err != nil:
				return false, err
			}
			switch strings.ToLower(answer) {
			case "", "y", "yes":
				return true, nil
			case "n", "no":
				return false, nil
			}
		}
	}
}

// askFirst asks what a process in the background cannot. What is wrong with the
// manifest that process says.
func askFirst(ctx context.Context, streams ui.Streams, f flags, name string) error {
	ask := asker(ctx, streams)
	if ask == nil {
		return nil
	}
	t, err := f.Resolve(name)
	if err != nil {
		return nil
	}
	report := newForeground(streams)
	defer report.Close()
	return up.Ignores(t.Dev.Sync.Folders, report, ask)
}
