package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"okteto/internal/testkit/sshkit"
)

// unstarted checks how a client is told that its command could not be started: a
// line on stderr, nothing on stdout, and a status.
func unstarted(t *testing.T, r sshkit.Result, status int, reason string) {
	t.Helper()
	want(t, "status", r.Code, status)
	want(t, "stdout", r.Stdout, "")
	want(t, fmt.Sprintf("reason in %q", clip(r.Stderr)), strings.Contains(r.Stderr, reason), true)
	want(t, "lines", strings.Count(r.Stderr, "okteto-remote: "), 1)
}

// TestCommandThatIsTooLong shows what the kernel refuses to run.
func TestCommandThatIsTooLong(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	command := ": " + strings.Repeat("x", 140<<10) // a word has at most 128 KiB (execve(2))
	for _, flag := range []string{"-T", "-tt"} {
		sess, err := s.Dial(t).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if flag == "-tt" {
			if err := sess.RequestPty("xterm", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		var stderr strings.Builder
		sess.Stderr = &stderr
		want(t, flag+" end", fmt.Sprint(sess.Run(command)), "Process exited with status 126")
		want(t, flag+" reason: "+stderr.String(), strings.Contains(stderr.String(), "argument list too long"), true)
	}
	want(t, "failures counted", metric(t, s, "okteto_remote_session_start_failures_total"), "2")
	want(t, "none is active", metric(t, s, `okteto_remote_sessions_active{kind="exec"}`), "0")
}

// TestCommandWithoutDescriptors shows a server that has none left for pipes.
func TestCommandWithoutDescriptors(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	c := s.Dial(t)
	_ = s.Exec(t, "", "true") // whatever is opened once
	var limit unix.Rlimit
	pid := s.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}, nil); err != nil {
		t.Fatal(err)
	}
	for _, pty := range []bool{false, true} {
		sess, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if pty {
			_ = sess.RequestPty("xterm", 24, 80, nil)
		}
		var stderr strings.Builder
		sess.Stderr = &stderr
		want(t, "end", fmt.Sprint(sess.Run("echo never")), "Process exited with status 255")
		want(t, "reason: "+stderr.String(), strings.Contains(stderr.String(), "too many open files"), true)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "afterwards", s.Exec(t, "", "echo again").Stdout, "again\n")
}

// TestCommandWithoutShell is an image without one, whose bundled one is missing.
func TestCommandWithoutShell(t *testing.T) {
	r := enterRoot(t, nil)
	if err := os.Remove(filepath.Join(r.dir, "var/okteto/bin/busybox")); err != nil {
		t.Fatal(err)
	}
	unstarted(t, r.s.Exec(t, "", "echo never"), 127, "the image has no shell")
	unstarted(t, sshkit.Run(t, r.s.SSH("-T", "pod")), 127, "the image has no shell")
}

// TestWorkDirThatIsGone shows that a folder which was removed, or may not be entered,
// locks nobody out, and that it is told.
func TestWorkDirThatIsGone(t *testing.T) {
	oursOnly(t)
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := startOurs(t, "--work-dir="+dir)
	r := s.Exec(t, "", "pwd; exit 3")
	want(t, "while it is there", fmt.Sprint(r.Stdout, r.Stderr, r.Code), dir+"\n3")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for _, replace := range []func(){func() {}, func() { write(t, dir, nil) }} {
		replace()
		r = s.Exec(t, "", "pwd; exit 3")
		want(t, "status", r.Code, 3)
		want(t, "stdout", r.Stdout, "/\n")
		want(t, "stderr: "+r.Stderr, strings.Contains(r.Stderr, "cannot change to "+dir), true)
		for _, named := range [][]string{nil, {named("t")}} {
			x := terminalOn(t, s.Dial(t), nil, named...)
			x.run("pwd; exit 4")
			want(t, "end", fmt.Sprint(x.wait()), "Process exited with status 4")
			// The client may print its two streams in either order.
			lines := strings.Split(x.output(), "\r\n")
			want(t, "lines: "+x.output(), len(lines), 3)
			want(t, "output", slices.Contains(lines, "/"), true)
			want(t, "notice", strings.Contains(x.output(), dir), true)
		}
	}
	out := sshkit.Run(t, s.SFTP("-b", "/dev/null", "pod"))
	want(t, "sftp: "+out.Stderr, out.Code, 0)
}
