// Package cmdtest runs single commands of okteto in testscript files, as the
// program runs them: arguments, streams, what an error looks like, exit codes.
package cmdtest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"okteto/cli/ui"
)

// Main is a TestMain in which scripts can run `okteto` with the given commands.
func Main(m *testing.M, commands ...func(ui.Streams) *cobra.Command) {
	testscript.Main(m, map[string]func(){"okteto": func() { os.Exit(run(commands)) }})
}

// Run runs the scripts of the package's testdata folder. Env, of the form
// KEY=VALUE, is added to what testscript itself sets.
func Run(t *testing.T, env ...string) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// testscript's HOME does not exist, and is no place to write.
			e.Setenv("HOME", e.WorkDir)
			e.Vars = append(e.Vars, env...)
			return nil
		},
	})
}

func run(commands []func(ui.Streams) *cobra.Command) int {
	streams := ui.System()
	root := &cobra.Command{Use: "okteto", SilenceErrors: true, SilenceUsage: true}
	for _, command := range commands {
		root.AddCommand(command(streams))
	}
	err := root.ExecuteContext(context.Background())
	ui.Print(streams.ErrOut, err)
	var exit *ui.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	return 1
}
