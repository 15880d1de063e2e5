//go:build e2e

package agents

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"okteto/bin-image/original"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// TestOriginalCLI: a client that does what the original of each era does gets
// what it got from the original image: a completed sync, edits both ways, a
// command with its exit code, clean, --reset and a new pod.
func TestOriginalCLI(t *testing.T) {
	t.Parallel()
	for _, era := range original.Eras() {
		for _, persistent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s persistent=%v", era, persistent), func(t *testing.T) {
				t.Parallel()
				originalCLI(t, era, persistent)
			})
		}
	}
}

func originalCLI(t *testing.T, era original.Era, persistent bool) {
	dev := original.Dev{Era: era, Reset: !persistent, Folders: []original.Folder{{Path: "/src"}}}
	if era != original.S {
		// The second folder's flag says 2, its key in the Secret 1.
		dev.Folders = append(dev.Folders, original.Folder{Path: "/shared", Ignore: "(?d)*.log\n"})
	}
	e := setUp(t, dev, podOptions{image: harness.DevImage, persistent: persistent}, nil)
	e.start()

	var laptop []string
	for range dev.Folders {
		laptop = append(laptop, t.TempDir())
	}
	for i := range 20 {
		write(t, filepath.Join(laptop[0], fmt.Sprintf("dir%d/file", i%4), fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i), 1000))
	}
	home := t.TempDir()
	c := e.up(home, laptop)
	if got := strings.TrimSpace(e.sh(contract.Busybox + " cat /src/dir3/file/7")); got != strings.Repeat("7", 1000) {
		t.Errorf("a file in the pod: %.20q", got)
	}
	e.bothWays(c, laptop, "first")
	if era != original.S {
		write(t, filepath.Join(laptop[1], "noise.log"), "ignored")
		write(t, filepath.Join(laptop[1], "signal"), "sent")
		e.inPod("/shared/signal", "sent")
		if got := strings.TrimSpace(e.sh(contract.Busybox + " cat /shared/.stignore")); got != "(?d)*.log" {
			t.Errorf("ignore file of the second folder: %q", got)
		}
	}
	if out, code := c.run("tty >/dev/null && pwd; exit 7"); out != "/" || code != 7 {
		t.Errorf("command: %q, exit code %d", out, code)
	}
	if out, code := c.run(`printf %s "$OKTETO_NAME"`); out != name || code != 0 {
		t.Errorf("environment: %q, exit code %d", out, code)
	}
	c.down()

	// A new pod: with a volume the pod's files are still there.
	e.restart()
	c = e.up(home, laptop)
	e.bothWays(c, laptop, "second")
	if persistent {
		if !strings.Contains(e.logs(t.Context(), false), "USER:0") {
			t.Error("no first line after the restart")
		}
	}
	c.down()

	// `up --reset`: both databases are dropped.
	if persistent && era != original.S {
		e.dev.Reset = true
		e.restart()
		if err := removeDatabase(home); err != nil {
			t.Fatal(err)
		}
		c = e.up(home, laptop)
		e.bothWays(c, laptop, "third")
		c.down()
	}
}

// bothWays makes an edit on each side and waits for it on the other.
func (e *environment) bothWays(c *client, laptop []string, round string) {
	e.Helper()
	write(e, filepath.Join(laptop[0], "from-laptop"), round)
	e.inPod("/src/from-laptop", round)
	e.sh("echo -n " + round + " >/src/from-pod")
	e.eventually("the pod's edit on the laptop", func(context.Context) error {
		got, err := os.ReadFile(filepath.Join(laptop[0], "from-pod"))
		if err == nil && string(got) != round {
			err = errNotYet
		}
		return err
	})
}

// inPod waits for a file's content.
func (e *environment) inPod(path, want string) {
	e.Helper()
	e.eventually(path+" in the pod", func(context.Context) error {
		got, err := e.exec("", contract.Busybox, "cat", path)
		if err == nil && got != want {
			err = fmt.Errorf("%w: %q", errNotYet, got)
		}
		return err
	})
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// removeDatabase is what Syncthing's reset-database does.
func removeDatabase(home string) error {
	databases, err := filepath.Glob(filepath.Join(home, "index-*"))
	if err != nil {
		return err
	}
	for _, dir := range databases {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}
