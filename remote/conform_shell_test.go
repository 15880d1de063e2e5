package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceShell shows what is typed into terminals, and how they end.
func TestConformanceShell(t *testing.T) {
	conform(t, []row{
		{id: "B11", what: "interrupt character reaches the foreground", test: ptyInterrupt},
		{id: "B12", what: "job control", test: ptyJobControl},
		{id: "B16", what: "a killed client hangs up the foreground program", test: ptyHangup("sleep %s")},
		{id: "B17", what: "a killed client ends the interactive shell and its jobs", test: ptyHangupShell},
		{id: "B19", what: "end-of-file character ends cat", test: ptyEOF},
		{id: "B20", what: "a child that holds the terminal does not hang the client", test: ptyHeld},
		{id: "B21", what: "kind of the interactive shell", test: shellKind},
		{id: "B27", what: "script on stdin of a forced terminal without a command", test: ptyScript},
		{id: "B28", what: "the client's escape ends the session", test: clientEscape},
	})
}

func ptyInterrupt(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("trap 'echo trapped; exit 9' INT; sleep " + m)
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	x.send("\x03")
	x.expect("trapped")
	want(tb, "end", fmt.Sprint(x.wait()), "Process exited with status 9")
	want(tb, "sleep alive", alive(m), false)
}

func ptyJobControl(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("exec bash --norc -i")
	x.send("PS1='$ '; echo re''ady\n")
	x.expect("ready")
	x.send("sleep " + m + "\n")
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	x.send("\x1a")
	x.expect("Stopped")
	x.send("jobs; echo jobs''done\n")
	x.expect(`(?s)Stopped.*jobsdone`)
	x.send("fg\n")
	sshkit.Await(tb, "sleep goes on", func() bool {
		for _, pid := range pids("sleep " + m) {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return strings.Contains(string(stat), ") S ")
		}
		return false
	})
	x.send("\x03")
	x.send("echo status $?; exit 0\n")
	x.expect("status 130")
	_ = x.wait()
	want(tb, "warning", strings.Contains(x.output(), "no job control"), false)
}

func ptyHangup(format string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		m := mark()
		killMarked(tb, m)
		cmd := s.SSH("-tt", "pod", fmt.Sprintf(format, m))
		cmd.Stdin, _ = io.Pipe()
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "it runs", func() bool { return alive(m) })
		_ = cmd.Process.Kill()
		go func() { _ = cmd.Wait() }()
		sshkit.Await(tb, "it ends", func() bool { return !alive(m) })
	}
}

func ptyHangupShell(tb testing.TB, s *sshkit.Server) {
	job, shell := mark(), mark()
	killMarked(tb, job)
	killMarked(tb, shell)
	c := s.Dial(tb)
	x := terminalOn(tb, c, nil)
	x.run("")
	x.send("sleep " + job + " & sleep " + shell + "\n")
	sshkit.Await(tb, "both run", func() bool { return alive(job) && alive(shell) })
	_ = c.Close()
	sshkit.Await(tb, "both end", func() bool { return !alive(job) && !alive(shell) })
}

func ptyEOF(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), ssh.TerminalModes{ssh.ECHO: 0})
	x.run("cat; echo end")
	x.send("line\n")
	x.expect("line")
	x.send("\x04")
	x.expect("end")
	want(tb, "end", fmt.Sprint(x.wait()), "<nil>")
	if !s.OpenSSH { // the reference hangs
		x := terminalOn(tb, s.Dial(tb), ssh.TerminalModes{ssh.ECHO: 0})
		x.run("cat; echo end")
		x.send("no newline")
		_ = x.in.Close()
		x.expect("no newlineend")
		_ = x.wait()
	}
}

func ptyHeld(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	out, _ := inTerminal(tb, s, nil, "sleep "+m+" & echo hi")
	want(tb, "output", out, "hi\r\n")
}

// shellKind: the reference starts login shells. Ours does not unless asked to:
// /etc/profile of most images overwrites the PATH of the image.
func shellKind(tb testing.TB, s *sshkit.Server) {
	kind := func(s *sshkit.Server) string {
		x := terminalOn(tb, s.Dial(tb), nil)
		x.run("")
		x.send("echo kind:$0:; exit\n")
		return x.expect(`kind:([^$:]*):`)[1]
	}
	isLogin := func(s *sshkit.Server) bool { return strings.HasPrefix(kind(s), "-") }
	want(tb, "login shell", isLogin(s), s.OpenSSH)
	if !s.OpenSSH {
		want(tb, "login shell, asked for", isLogin(startOurs(tb, "--login-shell")), true)
	}
	want(tb, "a command's shell", strings.HasPrefix(s.Exec(tb, "", "echo $0").Stdout, "-"), false)
}

func ptyScript(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-tt", "pod")
	cmd.Stdin = strings.NewReader("stty -echo\necho so''me\nexit 3\n")
	r := sshkit.Run(tb, cmd)
	want(tb, "status", r.Code, 3)
	want(tb, "output", strings.Contains(r.Stdout, "some\r\n"), true)
}

func clientEscape(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("-tt", "pod", "sleep "+m)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	sshkit.Await(tb, "it runs", func() bool { return alive(m) })
	_, _ = in.Write([]byte("\r~."))
	_ = cmd.Wait()
	want(tb, "status", cmd.ProcessState.ExitCode(), 255)
	sshkit.Await(tb, "it ends", func() bool { return !alive(m) })
}
