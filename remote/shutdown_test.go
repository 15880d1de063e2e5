package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestDeadPeerIsDropped shows that the server's own keepalives find a client
// that is silent without a reset, as behind a broken port-forward.
func TestDeadPeerIsDropped(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--keepalive-interval=500ms")
	m := mark()
	killMarked(t, m)
	ch := s.RawDial(t).Open("session", 1<<20, nil)
	ch.Exec("sleep " + m) // from here on the client answers nothing
	sshkit.Await(t, "it runs", func() bool { return alive(m) })
	sshkit.Await(t, "its command ends", func() bool { return !alive(m) })
	want(t, "counted", metric(t, s, "okteto_remote_dead_peers_total"), "1")
}

// TestLivingPeerIsKept shows that a client which only answers is not dropped.
func TestLivingPeerIsKept(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--keepalive-interval=300ms")
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c, _, reqs, err := ssh.NewClientConn(conn, s.Addr, s.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for asked := 0; asked < 5; { // more often than it may stay silent
		req, ok := <-reqs
		if !ok {
			t.Fatal("the client was dropped")
		}
		if req.Type == "keepalive@openssh.com" {
			asked++
		}
		_ = req.Reply(false, nil)
	}
	want(t, "dropped", metric(t, s, "okteto_remote_dead_peers_total"), "0")
}

// TestShutdownDrains shows what SIGTERM does.
func TestShutdownDrains(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	m := mark()
	killMarked(t, m)
	x := terminalOn(t, s.Dial(t), nil)
	file := filepath.Join(t.TempDir(), "hup")
	x.run("trap 'echo got hup >" + file + "; exit 3' HUP; echo ready; sleep " + m + " & wait")
	x.expect("ready")
	_ = s.Process.Signal(os.Interrupt)
	// No status: the client must take it for a lost connection, not for a result.
	if err, exit := x.wait(), (*ssh.ExitError)(nil); errors.As(err, &exit) {
		t.Errorf("the session ended with %v", err)
	}
	sshkit.Await(t, "the session was hung up", func() bool { data, _ := os.ReadFile(file); return string(data) == "got hup\n" })
	sshkit.Await(t, "the port is free", func() bool { return !reachable("127.0.0.1", addrPort(s)) })
}

// TestShutdownDoesNotWaitForStalledForwards shows that data on its way to a target
// that does not read delays the end of the server no longer than sessions may.
func TestShutdownDoesNotWaitForStalledForwards(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--drain-timeout=300ms")
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	l := listen(t, "tcp", "127.0.0.1:0", func(net.Conn) { <-stop })
	conn, err := s.Dial(t).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(conn, zeros{}) }()
	var sent string
	sshkit.Await(t, "the target's buffers are full", func() bool {
		last := sent
		sent = metric(t, s, `okteto_remote_forward_bytes_total{direction="in",kind="direct-tcpip"}`)
		return last == sent && sent != "0"
	})
	_ = s.Process.Signal(os.Interrupt)
	sshkit.Await(t, "the server has ended", func() bool { return s.Process.Signal(syscall.Signal(0)) != nil })
}
