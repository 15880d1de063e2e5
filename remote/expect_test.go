package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// term is a session with a terminal, driven like expect(1).
type term struct {
	testing.TB
	*ssh.Session
	in  io.WriteCloser
	mu  sync.Mutex
	out bytes.Buffer
	end chan error
}

func terminalOn(tb testing.TB, c *ssh.Client, modes ssh.TerminalModes, env ...string) *term {
	tb.Helper()
	sess, err := c.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	x := &term{TB: tb, Session: sess, end: make(chan error, 1)}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if err := sess.Setenv(name, value); err != nil {
			tb.Fatalf("env %s: %v", name, err)
		}
	}
	if err := sess.RequestPty("xterm-256color", 24, 80, modes); err != nil {
		tb.Fatal(err)
	}
	if x.in, err = sess.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	sess.Stdout, sess.Stderr = x, x
	return x
}

func (x *term) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.Write(p)
}

func (x *term) output() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

func (x *term) run(command string) {
	x.Helper()
	var err error
	if command == "" {
		err = x.Shell()
	} else {
		err = x.Session.Start(command)
	}
	if err != nil {
		x.Fatal(err)
	}
	go func() { x.end <- x.Session.Wait() }()
}

func (x *term) send(s string) {
	x.Helper()
	if _, err := io.WriteString(x.in, s); err != nil {
		x.Fatal(err)
	}
}

// expect waits until the output matches.
func (x *term) expect(pattern string) []string {
	x.Helper()
	re := regexp.MustCompile(pattern)
	var m []string
	if !sshkit.AwaitFor(15*time.Second, func() bool { m = re.FindStringSubmatch(x.output()); return m != nil }) {
		x.Fatalf("no %q in the output %s", pattern, clip(x.output()))
	}
	return m
}

func (x *term) wait() error {
	x.Helper()
	select {
	case err := <-x.end:
		return err
	case <-time.After(20 * time.Second):
		x.Fatalf("the session does not end; output %s", clip(x.output()))
		return nil
	}
}

// inTerminal runs a command in a terminal to its end.
func inTerminal(tb testing.TB, s *sshkit.Server, modes ssh.TerminalModes, command string) (string, error) {
	tb.Helper()
	x := terminalOn(tb, s.Dial(tb), modes)
	x.run(command)
	err := x.wait()
	return x.output(), err
}
