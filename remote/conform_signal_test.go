package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceSignals shows what signal requests do (RFC 4254 section 6.9).
func TestConformanceSignals(t *testing.T) {
	const asRoot = "OpenSSH delivers no signals to a session that runs as root"
	rows := []row{
		{id: "D-reply", what: "a signal that wants a reply gets one", test: signalReply},
		{id: "D-terminal", what: "signals reach the foreground of a terminal", test: signalsInTerminal, sshdFails: asRoot},
	}
	for _, sig := range []ssh.Signal{ssh.SIGTERM, ssh.SIGINT, ssh.SIGHUP, ssh.SIGKILL, ssh.SIGUSR1} {
		rows = append(rows, row{id: "D-" + string(sig), what: "a signal request ends sleep", test: signals(sig), sshdFails: asRoot})
	}
	conform(t, rows)
}

func signals(sig ssh.Signal) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		sess, err := s.Dial(tb).NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		m := mark()
		killMarked(tb, m)
		if err := sess.Start("sleep " + m); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
		if err := sess.Signal(sig); err != nil {
			tb.Fatal(err)
		}
		end := make(chan error, 1)
		go func() { end <- sess.Wait() }()
		patience := 20 * time.Second
		if s.OpenSSH {
			patience = 2 * time.Second
		}
		select {
		case err := <-end:
			exit, ok := err.(*ssh.ExitError)
			want(tb, fmt.Sprint("ended: ", err), ok && exit.Signal() == string(sig), true)
		case <-time.After(patience):
			tb.Error("it was not delivered")
		}
	}
}

// signalReply: RFC 4254 wants no reply, but a client that asks waits for one.
func signalReply(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec("trap '' USR1; echo ready; read line; exit 3")
	want(tb, "first", ch.Next().Kind, "data")
	for _, name := range []string{"USR1", "NONSENSE"} {
		ch.Request("signal", true, ssh.Marshal(struct{ S string }{name}))
		if kind := ch.Next().Kind; kind != "success" && kind != "failure" {
			tb.Fatalf("%s is answered with %s", name, kind)
		}
	}
	ch.Write([]byte("\n"))
	want(tb, "it ran to its end", slices.Contains(sshkit.Kinds(ch.Record()), "exit-status"), true)
}

func signalsInTerminal(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("exec bash --norc -i")
	x.send("sleep " + m + "; echo ended $?\n")
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	if err := x.Signal(ssh.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	x.expect("ended 143")
}
