package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/testkit/proxy"
	"okteto/internal/testkit/sshkit"
)

func named(id string) string { return contract.EnvTerminal + "=" + id }

// TestTerminalSurvivesLossOfConnection shows the promise of persistent
// terminals: the program goes on, recent output comes again, the size is the
// new client's, and the exit status arrives.
func TestTerminalSurvivesLossOfConnection(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	first := s.Dial(t)
	x := terminalOn(t, first, nil, named("work-1"))
	x.run("exec bash --norc")
	x.send("PS1='$ '; secret=kept; echo rea''dy\n")
	x.expect("ready")
	x.send("(sleep 0.5; echo while''away) &\n")
	_ = first.Conn.Close()

	second := s.Dial(t)
	y := terminalOn(t, second, nil, named("work-1"))
	if err := y.WindowChange(41, 141); err != nil {
		t.Fatal(err)
	}
	y.run("ignored")
	y.expect("ready")
	y.expect("whileaway")
	y.send("echo var:$secret $(stty size)\n")
	y.expect("var:kept 41 141")
	y.send("exit 7\n")
	want(t, "end", fmt.Sprint(y.wait()), "Process exited with status 7")

	z := terminalOn(t, second, nil, named("work-1"))
	z.run("echo new one")
	z.expect("new one")
	_ = z.wait()
	if strings.Contains(z.output(), "ready") {
		t.Error("an ended terminal is shown again")
	}
}

func TestTerminalEndedWhileAwayTellsItsStatus(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	first := s.Dial(t)
	file := filepath.Join(t.TempDir(), "done")
	x := terminalOn(t, first, nil, named("t"))
	x.run("echo one; while [ ! -e " + file + " ]; do sleep 0.02; done; echo two; exit 9")
	x.expect("one")
	_ = first.Conn.Close()
	sshkit.Await(t, "detached", func() bool { return metric(t, s, `okteto_remote_terminals{state="detached"}`) == "1" })
	write(t, file, nil)
	sshkit.Await(t, "ended", func() bool { return metric(t, s, `okteto_remote_sessions_active{kind="pty-exec"}`) == "0" })
	y := terminalOn(t, s.Dial(t), nil, named("t"))
	y.run("")
	want(t, "end", fmt.Sprint(y.wait()), "Process exited with status 9")
	want(t, "output", y.output(), "one\r\ntwo\r\n")
	sshkit.Await(t, "forgotten", func() bool { return metric(t, s, `okteto_remote_terminals{state="detached"}`) == "0" })
}

func seen(client string, n int) string {
	return fmt.Sprintf("%s=%s:%d", contract.EnvTerminalSeen, client, n)
}

// detached waits until the terminal knows that its client is gone.
func detached(t *testing.T, s *sshkit.Server) {
	t.Helper()
	sshkit.Await(t, "detached", func() bool { return metric(t, s, `okteto_remote_terminals{state="detached"}`) == "1" })
}

// TestTerminalGoesOnWhereItsClientWas shows that a client which tells how much
// output it has had loses nothing and gets nothing twice.
func TestTerminalGoesOnWhereItsClientWas(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	dir := t.TempDir()
	step := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	const lines = 2000
	command := fmt.Sprintf("for i in 0 1 2 3; do while [ ! -e %s/$i ]; do sleep 0.01; done; seq -f \"$i:%%g\" %d; done; exit 4", dir, lines)
	var want0 strings.Builder
	for i := range 4 {
		for n := range lines {
			fmt.Fprintf(&want0, "%d:%d\r\n", i, n+1)
		}
	}
	var got string
	for i := range 4 {
		c := s.Dial(t)
		x := terminalOn(t, c, nil, named("t"), seen("me", len(got)))
		x.run(command)
		write(t, step(i), nil)
		if i == 3 {
			want(t, "end", fmt.Sprint(x.wait()), "Process exited with status 4")
			got += x.output()
			break
		}
		// Lost in the middle of the output, or after it.
		x.expect(fmt.Sprintf("%d:%d\r", i, 1+i*(lines-1)/2))
		_ = c.Conn.Close()
		_ = x.wait()
		got += x.output()
		detached(t, s)
	}
	want(t, "output", got, want0.String())
}

// TestTerminalsStatusIsItsOwnClients shows that a new client does not get the
// end of the program that the client before it has told to end.
func TestTerminalsStatusIsItsOwnClients(t *testing.T) {
	oursOnly(t)
	for _, sig := range []ssh.Signal{ssh.SIGTERM, ssh.SIGHUP} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, slow %v", sig, slow), func(t *testing.T) {
				s := startOurs(t)
				command := "echo run:$$; exec sleep 600"
				if slow { // takes its time to end
					command = "trap 'sleep 1; exit 143' TERM HUP; echo run:$$; while :; do sleep 0.1; done"
				}
				first := s.Dial(t)
				x := terminalOn(t, first, nil, named("t"), seen("first", 0))
				x.run(command)
				pid := x.expect(`run:(\d+)`)[1]
				if err := x.Signal(sig); err != nil {
					t.Fatal(err)
				}
				_ = x.Session.Close()
				_ = first.Conn.Close()

				second := s.Dial(t)
				y := terminalOn(t, second, nil, named("t"), seen("second", 0))
				y.run("echo run:$$; exit 5")
				if again := y.expect(`run:(\d+)`)[1]; again == pid {
					t.Error("the new client got the old program")
				}
				want(t, "end", fmt.Sprint(y.wait()), "Process exited with status 5")
			})
		}
	}
}

// TestTerminalThatEndedAloneIsNotANewClients is the same without a signal.
func TestTerminalThatEndedAloneIsNotANewClients(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	file := filepath.Join(t.TempDir(), "done")
	first := s.Dial(t)
	x := terminalOn(t, first, nil, named("t"), seen("first", 0))
	x.run("echo one; while [ ! -e " + file + " ]; do sleep 0.02; done; exit 9")
	x.expect("one")
	_ = first.Conn.Close()
	detached(t, s)
	// It runs: a new client takes it over.
	second := s.Dial(t)
	y := terminalOn(t, second, nil, named("t"), seen("second", 0))
	y.run("echo two")
	y.expect("one")
	_ = second.Conn.Close()
	detached(t, s)
	write(t, file, nil)
	sshkit.Await(t, "ended", func() bool { return metric(t, s, `okteto_remote_sessions_active{kind="pty-exec"}`) == "0" })
	z := terminalOn(t, s.Dial(t), nil, named("t"), seen("third", 0))
	z.run("echo three")
	want(t, "end", fmt.Sprint(z.wait()), "<nil>")
	want(t, "output", z.output(), "three\r\n")
}

// TestReplacedClientDoesNotReachTheTerminal shows that what a client asks for
// after another has taken its place changes nothing.
func TestReplacedClientDoesNotReachTheTerminal(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	raw := s.RawDial(t).Open("session", 1<<20, nil)
	raw.Request("env", true, ssh.Marshal(struct{ N, V string }{contract.EnvTerminal, "t"}))
	raw.Next()
	raw.Request("pty-req", true, ptyRequest(80, 24, 0, 0))
	raw.Next()
	raw.Exec("cat")
	y := terminalOn(t, s.Dial(t), nil, named("t"))
	y.run("")
	y.send("hello\n")
	y.expect("hello\r\nhello")
	raw.Request("signal", false, ssh.Marshal(struct{ S string }{"TERM"}))
	raw.Request("signal", true, ssh.Marshal(struct{ S string }{"TERM"}))
	for kind := ""; kind != "close" && kind != "failure"; {
		if kind = raw.Next().Kind; kind == "success" {
			t.Error("the signal is accepted")
			break
		}
	}
	y.send("there\n")
	y.expect("there\r\nthere")
}

func TestTerminalNeedsTheSameKey(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	appendKey(t, s, read(t, filepath.Join(s.Dir, "other.pub")))
	first := s.Dial(t)
	x := terminalOn(t, first, nil, named("t"))
	x.run("echo private; cat")
	x.expect("private")
	_ = first.Conn.Close()
	conf := s.Config(t)
	conf.Auth = []ssh.AuthMethod{ssh.PublicKeys(s.Signer(t, "other"))}
	c, err := ssh.Dial("tcp", s.Addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	y := terminalOn(t, c, nil, named("t"))
	y.run("echo mine")
	_ = y.wait()
	want(t, "output", y.output(), "mine\r\n")
}

func TestTerminalIsTakenOverFromAStalledClient(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	ch := s.RawDial(t).Open("session", 4096, nil) // reads nothing: its window fills
	ch.Request("env", true, ssh.Marshal(struct{ N, V string }{contract.EnvTerminal, "t"}))
	ch.Next()
	ch.Request("pty-req", true, ptyRequest(80, 24, 0, 0))
	ch.Next()
	ch.Exec("seq 1 20000; echo now $((40+2)); sleep 600")
	x := terminalOn(t, s.Dial(t), nil, named("t"))
	x.run("")
	x.expect("now 42")
}

// TestTerminalInputThatNobodyReads shows that what a lost client has typed keeps
// neither its connection nor its successor's input, however the client was lost.
func TestTerminalInputThatNobodyReads(t *testing.T) {
	oursOnly(t)
	for name, lose := range map[string]func(*proxy.Proxy, *ssh.Client){
		"closed": func(_ *proxy.Proxy, c *ssh.Client) { _ = c.Conn.Close() },
		"reset":  func(p *proxy.Proxy, _ *ssh.Client) { p.Cut() },
		"silent": func(p *proxy.Proxy, _ *ssh.Client) { p.Stall(true) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startOurs(t, "--keepalive-interval=200ms", "--keepalive-misses=2")
			p, err := proxy.New(s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			file := filepath.Join(t.TempDir(), "read")
			first := dialBy(t, s, p.Addr())
			x := terminalOn(t, first, nil, named("t"))
			x.run("stty raw -echo; echo ready; while [ ! -e " + file + " ]; do sleep 0.02; done; exec cat")
			x.expect("ready")
			x.send(strings.Repeat("x", 200_000)) // more than a terminal holds
			sshkit.Await(t, "the terminal is full", func() bool {
				n, _ := strconv.ParseFloat(metric(t, s, `okteto_remote_session_bytes_total{direction="in",kind="pty-exec"}`), 64)
				return n >= 1<<15
			})
			lose(p, first)

			y := terminalOn(t, s.Dial(t), nil, named("t"))
			y.run("")
			y.expect("ready")
			y.send("more")
			sshkit.Await(t, "the first connection has ended", func() bool { return metric(t, s, "okteto_remote_connections_active") == "1" })
			write(t, file, nil)
			y.expect("x+more")
		})
	}
}

func dialBy(t *testing.T, s *sshkit.Server, addr string) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", addr, s.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTerminalGraceEnds(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--terminal-grace=200ms")
	m := mark()
	killMarked(t, m)
	c := s.Dial(t)
	x := terminalOn(t, c, nil, named("t"))
	x.run("sleep " + m)
	sshkit.Await(t, "it runs", func() bool { return alive(m) })
	_ = c.Conn.Close()
	sshkit.Await(t, "it is ended", func() bool { return !alive(m) })
	want(t, "expired", metric(t, s, "okteto_remote_terminals_expired_total"), "1")
}

func TestTerminalClosedOnPurposeEnds(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	m := mark()
	killMarked(t, m)
	x := terminalOn(t, s.Dial(t), nil, named("t"))
	x.run("sleep " + m)
	sshkit.Await(t, "it runs", func() bool { return alive(m) })
	_ = x.Session.Close() // the connection lives on
	sshkit.Await(t, "it is ended", func() bool { return !alive(m) })
}

func TestTerminalsAreBounded(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--max-terminals=2")
	marks := []string{mark(), mark(), mark()}
	for i, m := range marks {
		killMarked(t, m)
		c := s.Dial(t)
		x := terminalOn(t, c, nil, named(fmt.Sprint("t", i)))
		x.run("sleep " + m)
		sshkit.Await(t, "it runs", func() bool { return alive(m) })
		_ = c.Conn.Close()
		sshkit.Await(t, "detached", func() bool {
			return metric(t, s, `okteto_remote_terminals{state="detached"}`) == fmt.Sprint(min(i+1, 2))
		})
	}
	sshkit.Await(t, "the oldest made room", func() bool { return !alive(marks[0]) })
	if !alive(marks[1]) || !alive(marks[2]) {
		t.Error("a newer terminal was ended")
	}
}

func TestPlainTerminalIsNotKept(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	sess, err := s.Dial(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Setenv(contract.EnvTerminal, "bad id/../"); err == nil {
		t.Error("a malformed name is accepted")
	}
	out, _ := sess.Output("env")
	if strings.Contains(string(out), contract.EnvTerminal) {
		t.Error("the name reaches the program")
	}
}

// TestTerminalSeesNoEndOfFileAtLoss shows that the loss of a connection is not
// typed into the terminal as an end of file.
func TestTerminalSeesNoEndOfFileAtLoss(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	for i := range 10 {
		id := named(fmt.Sprint("t", i))
		c := s.Dial(t)
		x := terminalOn(t, c, nil, id)
		x.run("echo mark:$" + contract.EnvTerminal + "; cat; echo ended")
		x.expect("mark:t")
		_ = c.Conn.Close()
		sshkit.Await(t, "detached", func() bool { return metric(t, s, `okteto_remote_terminals{state="detached"}`) == "1" })
		y := terminalOn(t, s.Dial(t), nil, id)
		y.run("")
		y.send("still there\n")
		y.expect("still there\r\nstill there")
		y.send("\x04")
		y.expect("ended")
		_ = y.wait()
	}
}
