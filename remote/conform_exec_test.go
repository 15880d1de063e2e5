package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceExec(t *testing.T) {
	const group = "OpenSSH leaves the process group of a lost client running"
	conform(t, []row{
		{id: "A01", what: "exit codes 0 to 255", test: exitCodes},
		{id: "A02", what: "death by TERM and its like is told by name", test: exitSignals("TERM", "INT", "HUP", "USR1", "ABRT", "PIPE")},
		{id: "A03", what: "death by SEGV and KILL is told by name", test: exitSignals("SEGV", "KILL")},
		{id: "A08", what: "stderr is separate", test: stderrSeparate},
		{id: "A09", what: "no text is added to stderr on a non-zero exit", test: nothingAdded},
		{id: "A11", what: "a redirected background child returns at once and survives", test: backgroundChild},
		{
			id: "A12", what: "a background child that holds stdout does not hang the client", test: heldStdout,
			sshdFails: "OpenSSH waits for the end of the output",
		},
		{id: "A13", what: "a killed client takes its command along", test: killedClient("sleep %s"), sshdFails: group},
		{id: "A14", what: "a killed client takes its pipeline along", test: killedClient("sleep %s | cat; true"), sshdFails: group},
		{id: "A15", what: "daemons survive a killed client", test: daemonsSurvive},
		{id: "A17", what: "a reset connection ends the command", test: resetEndsCommand, sshdFails: group},
		{id: "A20", what: "script on stdin without a command", test: scriptOnStdin},
		{id: "A21", what: "script on stdin of bash and of sh -s", test: scriptForShell},
		{id: "A23", what: "127 and 126 with the shell's message", test: notFound},
		{id: "A24", what: "command line of 120 KB", test: longCommand},
		{id: "A28", what: "a second program on a channel is refused", test: secondExec},
	})
}

func exitCodes(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	step := scale(1, 5)
	for code := 0; code <= 255; code += step {
		sess, err := c.NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		got := 0
		if err := sess.Run(fmt.Sprintf("exit %d", code)); err != nil {
			exit, ok := err.(*ssh.ExitError)
			if !ok {
				tb.Fatalf("exit %d: %v", code, err)
			}
			got = exit.ExitStatus()
		}
		want(tb, "exit status", got, code)
	}
	want(tb, "exit status of ssh", s.Exec(tb, "", "exit 42").Code, 42)
	want(tb, "exit status of ssh", s.Exec(tb, "", "exit 255").Code, 255)
}

func exitSignals(names ...string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		c := s.Dial(tb)
		for _, name := range names {
			sess, err := c.NewSession()
			if err != nil {
				tb.Fatal(err)
			}
			exit, ok := sess.Run("ulimit -c 0; kill -" + name + " $$").(*ssh.ExitError)
			if !ok || exit.Signal() != name {
				tb.Errorf("kill -%s: got %v", name, exit)
			}
		}
	}
}

func stderrSeparate(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "echo out; echo err >&2; exit 3")
	want(tb, "stdout", r.Stdout, "out\n")
	want(tb, "stderr", r.Stderr, "err\n")
	want(tb, "status", r.Code, 3)
}

func nothingAdded(tb testing.TB, s *sshkit.Server) {
	for _, command := range []string{"exit 9", "false", "echo err >&2; exit 200"} {
		r := s.Exec(tb, "", command)
		want(tb, command+": stdout", r.Stdout, "")
		want(tb, command+": stderr", strings.TrimPrefix(r.Stderr, "err\n"), "")
		want(tb, command+": fails", r.Code != 0, true)
	}
}

func killMarked(tb testing.TB, m string) {
	tb.Cleanup(func() {
		for _, pid := range pids("sleep " + m) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

func backgroundChild(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	r := s.Exec(tb, "", "sleep "+m+" >/dev/null 2>&1 </dev/null & echo started")
	want(tb, "output", r.Stdout, "started\n")
	want(tb, "status of a client that was not kept", r.Code, 0)
	sshkit.Await(tb, "the child lives", func() bool { return alive(m) })
}

func heldStdout(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("pod", "sleep "+m+" & echo hi; exit 5")
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	if s.OpenSSH {
		defer time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	}
	_ = cmd.Wait()
	want(tb, "output", out.String(), "hi\n")
	want(tb, "status", cmd.ProcessState.ExitCode(), 5)
	sshkit.Await(tb, "the child lives", func() bool { return alive(m) })
}

func killedClient(format string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		m := mark()
		killMarked(tb, m)
		cmd := s.SSH("pod", fmt.Sprintf(format, m))
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "the command runs", func() bool { return alive(m) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		awaitGone(tb, s, m)
	}
}

// awaitGone waits for the end of a marked sleep; the reference, expected to
// fail, gets less time.
func awaitGone(tb testing.TB, s *sshkit.Server, m string) {
	tb.Helper()
	d := 20 * time.Second
	if s.OpenSSH {
		d = 3 * time.Second
	}
	if !sshkit.AwaitFor(d, func() bool { return !alive(m) }) {
		tb.Error("the command lives on")
	}
}

func daemonsSurvive(tb testing.TB, s *sshkit.Server) {
	for _, how := range []string{"nohup sleep %s >/dev/null 2>&1 & sleep %s", "setsid sleep %s & sleep %s", "nohup sleep %s & sleep %s"} {
		daemon, other := mark(), mark()
		killMarked(tb, daemon)
		killMarked(tb, other)
		cmd := s.SSH("pod", fmt.Sprintf(how, daemon, other))
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "both run", func() bool { return alive(daemon) && alive(other) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if !s.OpenSSH {
			awaitGone(tb, s, other)
		}
		want(tb, "daemon alive: "+how, alive(daemon), true)
	}
}

func resetEndsCommand(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	c := s.RawDial(tb)
	c.Open("session", 1<<20, nil).Exec("sleep " + m)
	sshkit.Await(tb, "the command runs", func() bool { return alive(m) })
	resetConn(c.Conn)
	awaitGone(tb, s, m)
}

func scriptOnStdin(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-T", "pod")
	cmd.Stdin = strings.NewReader("echo one\necho two\nexit 6\n")
	r := sshkit.Run(tb, cmd)
	want(tb, "output", r.Stdout, "one\ntwo\n")
	want(tb, "status", r.Code, 6)
}

func scriptForShell(tb testing.TB, s *sshkit.Server) {
	for _, sh := range []string{"bash", "sh -s", "bash -s -- a b"} {
		r := s.Exec(tb, "echo args $#\nexit 8\n", sh)
		want(tb, sh+" status", r.Code, 8)
		want(tb, sh+" ran", strings.HasPrefix(r.Stdout, "args "), true)
	}
}

func notFound(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "no-such-command-here")
	want(tb, "status", r.Code, 127)
	want(tb, "message", strings.Contains(r.Stderr, "not found"), true)
	file := filepath.Join(tb.TempDir(), "plain")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		tb.Fatal(err)
	}
	want(tb, "status", s.Exec(tb, "", file).Code, 126)
}

func longCommand(tb testing.TB, s *sshkit.Server) {
	text := strings.Repeat("a", 120<<10)
	want(tb, "length", s.Exec(tb, "", "printf %s "+text+" | wc -c").Stdout, fmt.Sprintln(len(text)))
}

func secondExec(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec("sleep 1; exit 3")
	ch.Request("exec", true, ssh.Marshal(struct{ C string }{"echo second"}))
	kinds := fmt.Sprint(sshkit.Kinds(ch.Record()))
	if !strings.Contains(kinds, "failure") || strings.Contains(kinds, "data") {
		tb.Errorf("got %s", kinds)
	}
}
