package root

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"okteto/cli/ui"
	"okteto/internal/testkit/script"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"okteto": func() { os.Exit(Run(ui.System(), os.Args[1:])) }})
}

// TestScripts runs what needs no cluster.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: script.Commands(),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir) // testscript's own does not exist
			for _, name := range []string{"OKTETO_NAMESPACE", "OKTETO_CONTEXT", "OKTETO_HOME", "OKTETO_FOLDER"} {
				e.Setenv(name, "")
			}
			e.Setenv("KUBECONFIG", e.WorkDir+"/.kube/config")
			return nil
		},
	})
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{&ui.Problem{Summary: "x"}, 1},
		{&ui.Problem{Summary: "x", Code: 255}, 255},
		{fmt.Errorf("wrapped: %w", &ui.ExitError{Code: 143}), 143},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}
