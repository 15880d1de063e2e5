//go:build e2e

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"okteto/cli/terminal"
	"okteto/e2e/harness"
)

// witness sees whether a fault loses anything: edits on both sides, and the exit
// code of a command that runs through it.
type witness struct {
	*laptop
	command *person
	// said is what every file has to hold in the end.
	said map[string]string
	n    int
}

// exitCode of the command, which nothing else in a test has.
const exitCode = 43

// witness starts the command, and makes the first edits.
func (l *laptop) witness() *witness {
	l.Helper()
	w := &witness{laptop: l, said: map[string]string{}}
	w.command = l.sitDown("exec", "--", "sh", "-c", fmt.Sprintf("echo it waits; read word; echo it got $word; exit %d", exitCode))
	w.command.sees("it waits")
	w.edit()
	w.editInPod()
	w.settled()
	return w
}

// edit makes files on the laptop, and changes one that is there.
func (w *witness) edit() { w.write("laptop", w.Dir) }

// editInPod does so in the pod, past okteto.
func (w *witness) editInPod() {
	w.Helper()
	agents, err := harness.OneAgents(w.Namespace)
	if err != nil {
		w.Fatal(err)
	}
	w.write("pod", filepath.Join(agents.Root(), "app"))
}

func (w *witness) write(side, dir string) {
	w.Helper()
	w.n++
	for name, text := range map[string]string{
		side + "-changed.txt":                    fmt.Sprint("change ", w.n),
		fmt.Sprintf("%s-%d.txt", side, w.n):      fmt.Sprint("new ", w.n),
		fmt.Sprintf("%s/%d/deep.txt", side, w.n): fmt.Sprint("deep ", w.n),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			w.Fatal(err)
		}
		w.said[name] = text
	}
}

// settled waits until both sides hold all that was written, and nothing else that
// looks like it.
func (w *witness) settled() {
	w.Helper()
	w.Eventually("all edits on both sides", func(context.Context) error {
		agents, err := harness.OneAgents(w.Namespace)
		if err != nil {
			return err
		}
		return errors.Join(w.compare("laptop", w.Dir), w.compare("pod", filepath.Join(agents.Root(), "app")))
	})
}

// kept checks the laptop alone, when there is no pod.
func (w *witness) kept() {
	w.Helper()
	if err := w.compare("laptop", w.Dir); err != nil {
		w.Error(err)
	}
}

func (w *witness) compare(side, dir string) error {
	var lost []error
	for name, text := range w.said {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && string(got) != text {
			err = fmt.Errorf("%s holds %q, want %q", name, got, text)
		}
		if err != nil {
			lost = append(lost, fmt.Errorf("on the %s: %w", side, err))
		}
	}
	conflicts, err := filepath.Glob(filepath.Join(dir, "*.sync-conflict-*"))
	if err != nil || len(conflicts) > 0 {
		lost = append(lost, fmt.Errorf("on the %s: conflicts %v, %w", side, conflicts, err))
	}
	return errors.Join(lost...)
}

// survives ends the witness: nothing is lost, and the command ends as it would have
// without the fault.
func (w *witness) survives() {
	w.Helper()
	w.settled()
	w.command.types("this\r")
	w.command.sees("it got this")
	if code := w.command.exits(); code != exitCode {
		w.Errorf("the command's exit code is %d, want %d", code, exitCode)
	}
}

// survivesWithout ends the witness of a fault that ends the command: nothing is
// lost, and nobody is told that it succeeded.
func (w *witness) survivesWithout() {
	w.Helper()
	w.settled()
	if code := w.command.exits(); code != terminal.ExitUnknown || strings.Count(w.command.screen(), "it waits") != 1 {
		w.Errorf("the command's exit code is %d, want %d and that it was not run again:\n%s", code, terminal.ExitUnknown, w.command.screen())
	}
}
