//go:build e2e

package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// person is somebody at a terminal in which okteto runs.
type person struct {
	*laptop
	tty  *os.File
	cmd  *exec.Cmd
	end  chan struct{} // closed when all that was said has been seen
	mu   sync.Mutex    // protects the following
	seen bytes.Buffer
}

func (l *laptop) sitDown(args ...string) *person {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Timeout)
	l.Cleanup(cancel)
	p := &person{laptop: l, cmd: l.Command(ctx, args...), end: make(chan struct{})}
	p.cmd.Env = append(p.cmd.Env, "TERM=xterm-256color")
	tty, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		l.Fatal(err)
	}
	p.tty = tty
	l.Cleanup(func() { _ = tty.Close() })
	go func() {
		defer close(p.end)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *person) types(text string) {
	p.Helper()
	if _, err := p.tty.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

func (p *person) sees(text string) {
	p.Helper()
	for deadline := time.Now().Add(harness.Timeout); ; time.Sleep(10 * time.Millisecond) {
		seen := p.screen()
		if strings.Contains(seen, text) {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("no %q on the screen:\n%s", text, seen)
		}
	}
}

// screen is all that was to be seen.
func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// exits waits for the end of the program and returns its code.
func (p *person) exits() int {
	p.Helper()
	_ = p.cmd.Wait()
	select {
	case <-p.end: // its last words may come after its end is known
	case <-time.After(harness.Timeout):
		p.Fatal("something still has the terminal")
	}
	return p.cmd.ProcessState.ExitCode()
}

// A shell, its variables and its size survive the loss of the connection, and
// leaving by ~. leaves the terminal as it was.
func TestShellOutlivesTheNetwork(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustRewrite("okteto.yml", `(?m)^command: .*$`, "command: sh")
	p := l.sitDown("up")
	p.sees("Ready")
	p.types("kept=value-$((40 + 2)); stty size\r")
	p.sees("40 120")
	p.types("echo $kept; tty\r")
	p.sees("value-42")
	p.sees("/dev/pts/")
	l.way.Cut()
	p.sees("Connected again")
	l.Reaches(contract.StateReady)
	p.types("echo still-$kept\r")
	p.sees("still-value-42")
	if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 50, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	p.Eventually("the new size", func(context.Context) error {
		p.types("stty size\r")
		time.Sleep(100 * time.Millisecond)
		if !strings.Contains(p.screen(), "50 100") {
			return fmt.Errorf("not seen yet")
		}
		return nil
	})
	p.types("\r~.")
	if code := p.exits(); code != 0 {
		t.Errorf("exit code %d after ~.", code)
	}
	l.MustOkteto("down")
	l.Restored()
}

func TestForegroundExitCode(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	p := l.sitDown("up", "--", "sh", "-c", "echo from the pod; exit 33")
	p.sees("from the pod")
	if code := p.exits(); code != 33 {
		t.Errorf("exit code %d, want 33", code)
	}
	result := l.Okteto(strings.NewReader("through a pipe"), "up", "--", "sh", "-c", "cat; kill -TERM $$")
	if result.Code != 143 || result.Stdout != "through a pipe" {
		t.Errorf("exit code %d, output %q\n%s", result.Code, result.Stdout, result.Stderr)
	}
	l.MustOkteto("down")
	l.Restored()
}

func TestExecKeepsAndPassesOn(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	p := l.sitDown("exec", "--", "sh", "-c", "test -t 0 && echo a terminal; read x; echo got-$x; exit 4")
	p.sees("a terminal")
	p.types("typed\r")
	p.sees("got-typed")
	if code := p.exits(); code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	result := l.Okteto(strings.NewReader("in"), "exec", "--", "sh", "-c", "test -t 0 || cat; echo err >&2; exit 5")
	if result.Code != 5 || result.Stdout != "in" || result.Stderr != "err\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", result.Code, result.Stdout, result.Stderr)
	}
	env := l.CLI.Env
	l.CLI.Env = append(env, contract.EnvExecuteSSH+"=false")
	if result = l.Okteto(strings.NewReader("api"), "exec", "--", "sh", "-c", "cat; exit 6"); result.Code != 6 || result.Stdout != "api" {
		t.Errorf("through the API: exit code %d, stdout %q, stderr %q", result.Code, result.Stdout, result.Stderr)
	}
	// Exit codes are the same both ways, also of what does not start.
	for _, overSSH := range []string{"true", "false"} {
		l.CLI.Env = append(env, contract.EnvExecuteSSH+"="+overSSH)
		for program, want := range map[string]int{"not-there": 127, "/not/there": 127, "/etc/passwd": 126, "./okteto.yml": 126, "/": 126, "true": 0} {
			if result = l.Okteto(nil, "exec", "--", program); result.Code != want {
				t.Errorf("%s, over SSH: %s: exit code %d, want %d; it said %s", program, overSSH, result.Code, want, result.Stderr)
			}
		}
	}
	l.CLI.Env = env
	l.MustOkteto("down")
	l.Restored()
}
