//go:build linux

package terminal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/cli/terminal"
	"okteto/cli/tunnel"
	"okteto/cli/tunnel/tunneltest"
	"okteto/cli/ui"
)

const patience = 30 * time.Second

type result struct {
	code        int
	out, errOut string
	err         error
}

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(b.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in the output: %q", text, b.String())
		}
	}
}

func run(t *testing.T, server *tunneltest.Server, stdin io.Reader, o terminal.Options) result {
	t.Helper()
	var out, errOut buffer
	o.Connect = server.Link(t).Interactive
	o.Streams = ui.Streams{In: stdin, Out: &out, ErrOut: &errOut}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code, err := terminal.Run(ctx, o)
	return result{code, out.String(), errOut.String(), err}
}

func TestExitCodes(t *testing.T) {
	server := tunneltest.Start(t)
	for command, want := range map[string]int{
		"true": 0, "exit 1": 1, "exit 42": 42, "exit 255": 255,
		"kill -USR1 $$": 138, "kill -USR2 $$": 140, "kill -BUS $$": 135, "kill -XCPU $$": 152,
		"kill -TERM $$": 143, "kill -KILL $$": 137, "kill -SEGV $$": 139,
		"nothing-of-that-name": 127,
	} {
		t.Run(command, func(t *testing.T) {
			if r := run(t, server, nil, terminal.Options{Command: command}); r.code != want || r.err != nil {
				t.Errorf("code %d, %v; want %d\n%s", r.code, r.err, want, r.errOut)
			}
		})
	}
}

func TestStreamsAreKeptApartAndWhole(t *testing.T) {
	server := tunneltest.Start(t)
	content := make([]byte, 8<<20)
	_, _ = rand.Read(content)
	r := run(t, server, bytes.NewReader(content), terminal.Options{Command: "cat; echo to stderr >&2; exit 3"})
	if r.err != nil || r.code != 3 {
		t.Fatalf("code %d, %v", r.code, r.err)
	}
	if r.out != string(content) {
		t.Errorf("%d bytes came back of %d, or others", len(r.out), len(content))
	}
	if r.errOut != "to stderr\n" {
		t.Errorf("stderr %q", r.errOut)
	}
}

func TestACommandThatReadsNothingEnds(t *testing.T) {
	server := tunneltest.Start(t)
	endless, writer := io.Pipe()
	defer writer.Close()
	go func() {
		for {
			if _, err := writer.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}()
	r := run(t, server, endless, terminal.Options{Command: "exit 5"})
	_ = endless.Close()
	if r.code != 5 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
}

func TestWithoutATerminalALostConnectionIsAnError(t *testing.T) {
	server := tunneltest.Start(t)
	started := make(chan struct{})
	go func() {
		<-started
		await(t, filepath.Join(server.Dir, "runs"))
		server.Cut()
	}()
	r := run(t, server, nil, terminal.Options{
		Command: "touch runs; sleep 60", Started: func(bool) { close(started) },
	})
	if !errors.Is(r.err, terminal.ErrLost) {
		t.Errorf("code %d, %v; want ErrLost", r.code, r.err)
	}
}

// What the server refuses is told, also of a named terminal, and not tried for ever.
func TestARefusalIsNoLostConnection(t *testing.T) {
	server := tunneltest.Start(t)
	link := server.Link(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	client, err := link.Interactive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := client.SendRequest("no-more-sessions@openssh.com", true, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	// The server serves what was asked for before first.
	var refused *ssh.OpenChannelError
	for !errors.As(err, &refused) {
		var out buffer
		_, err = terminal.Run(ctx, terminal.Options{
			Connect: func(context.Context) (*tunnel.Client, error) { return client, nil },
			Command: "true", TTY: true, ID: "terminal", Streams: ui.Streams{Out: &out, ErrOut: &out},
		})
		if ctx.Err() != nil {
			t.Fatalf("not refused: %v", err)
		}
	}
	if errors.Is(err, terminal.ErrLost) {
		t.Errorf("the refusal is taken for a lost connection: %v", err)
	}
}

// The same program goes on in the same terminal, and its output is complete.
func TestNamedTerminalOutlivesItsConnection(t *testing.T) {
	server := tunneltest.Start(t)
	input, typed := io.Pipe()
	defer typed.Close()
	var out buffer
	again := make(chan bool, 4)
	options := terminal.Options{
		Connect: server.Link(t).Interactive,
		Streams: ui.Streams{In: input, Out: &out, ErrOut: &out},
		TTY:     true, ID: "test-terminal", Started: func(a bool) { again <- a },
		Command: "x=kept; echo ready; read line; echo $line-$x; read line; echo $line-$x; exit 7",
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		code, err := terminal.Run(ctx, options)
		done <- result{code: code, err: err}
	}()
	out.await(t, "ready")
	if <-again {
		t.Error("the first attachment is called a repetition")
	}
	_, _ = fmt.Fprintln(typed, "first")
	out.await(t, "first-kept")
	server.Cut()
	if !<-again {
		t.Error("the second attachment is called the first")
	}
	_, _ = fmt.Fprintln(typed, "second")
	out.await(t, "second-kept")
	if r := <-done; r.code != 7 || r.err != nil {
		t.Errorf("code %d, %v; want 7", r.code, r.err)
	}
}

func TestEndEndsANamedTerminal(t *testing.T) {
	server := tunneltest.Start(t)
	link := server.Link(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := link.Interactive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := terminal.End(ctx, client, "nobody"); err != nil {
		t.Errorf("a terminal that does not exist: %v", err)
	}
	var out buffer
	done := make(chan result, 1)
	go func() {
		code, err := terminal.Run(ctx, terminal.Options{
			Connect: link.Interactive, TTY: true, ID: "old", Streams: ui.Streams{Out: &out, ErrOut: &out},
			Command: "echo runs; sleep 60; touch survived",
		})
		done <- result{code: code, err: err}
	}()
	out.await(t, "runs")
	if err := terminal.End(ctx, client, "old"); err != nil {
		t.Fatal(err)
	}
	<-done // whichever way: the terminal is gone
	if _, err := os.Stat(filepath.Join(server.Dir, "survived")); err == nil {
		t.Error("the program went on to its end")
	}
}

func TestEndOfContextEndsTheCommand(t *testing.T) {
	server := tunneltest.Start(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough")
	var out buffer
	go func() {
		out.await(t, "runs")
		cancel(reason)
	}()
	_, err := terminal.Run(ctx, terminal.Options{
		Connect: server.Link(t).Interactive, Command: "echo runs; sleep 60; touch survived",
		Streams: ui.Streams{Out: &out, ErrOut: &out},
	})
	if !errors.Is(err, reason) {
		t.Errorf("Run = %v, want the context's cause", err)
	}
}

func TestJoin(t *testing.T) {
	server := tunneltest.Start(t)
	args := []string{"printf", "%s|", "a b", "$HOME", "it's", `"`, "*", ""}
	if r := run(t, server, nil, terminal.Options{Command: terminal.Join(args)}); r.out != `a b|$HOME|it's|"|*||` {
		t.Errorf("arguments arrived as %q", r.out)
	}
	if r := run(t, server, nil, terminal.Options{Command: terminal.Join([]string{"echo one | tr n N"})}); r.out != "oNe\n" {
		t.Errorf("a command line gave %q", r.out)
	}
}

func await(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s did not appear", path)
			return
		}
	}
}

// A command whose container is gone, and its terminal with it, is not run in the
// next one; one that is the environment's own is.
func TestCommandIsNotRunTwice(t *testing.T) {
	for name, once := range map[string]bool{"once": true, "again": false} {
		t.Run(name, func(t *testing.T) {
			first, next := tunneltest.Start(t), tunneltest.Start(t)
			var connects atomic.Int32
			links := []*tunnel.Link{first.Link(t), next.Link(t)}
			o := terminal.Options{
				Command: "echo ran; read word; exit 3", TTY: true, ID: "terminal", Once: once,
				Connect: func(ctx context.Context) (*tunnel.Client, error) {
					return links[min(connects.Add(1)-1, 1)].Interactive(ctx)
				},
			}
			var out buffer
			keyboard, typed := io.Pipe()
			o.Streams = ui.Streams{In: keyboard, Out: &out, ErrOut: io.Discard}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() { // ends with the test at the latest
				out.await(t, "ran")
				first.Cut()
				if !once {
					for strings.Count(out.String(), "ran") < 2 && ctx.Err() == nil {
						time.Sleep(5 * time.Millisecond)
					}
					_, _ = typed.Write([]byte("x\r"))
				}
			}()
			code, err := terminal.Run(ctx, o)
			ran := strings.Count(out.String(), "ran")
			if once && (!errors.Is(err, terminal.ErrGone) || !errors.Is(err, terminal.ErrLost) || ran != 1) {
				t.Errorf("code %d, %v, ran %d times", code, err, ran)
			}
			if !once && (err != nil || code != 3 || ran != 2) {
				t.Errorf("code %d, %v, ran %d times", code, err, ran)
			}
		})
	}
}
