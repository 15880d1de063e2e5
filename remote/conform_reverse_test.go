package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceReverse(t *testing.T) {
	conform(t, []row{
		{id: "F09", what: "fixed port with half close", test: reverseFixed},
		{id: "F10", what: "port 0 is answered with the port", test: reverseZero},
		{id: "F11", what: "default bind is loopback only", test: reverseLoopback},
		{id: "F11b", what: "default bind listens on both families", test: reverseFamilies},
		{id: "F12", what: "bind addresses are honoured", test: reverseAddresses},
		{id: "F13", what: "rebind after the client was killed", test: reverseRebind},
		{id: "F14", what: "cancel over a shared connection frees the port", test: reverseCancelMux},
		{id: "F15", what: "two with port 0, one cancelled, all freed at the end", test: reverseTwo},
		{id: "F16", what: "a taken port is refused", test: reverseTaken},
		{id: "F18", what: "cancel of an unknown forward fails", test: reverseUnknown},
		{id: "F19", what: "remote socket: mode, data, removed after", test: reverseSocket},
		{id: "F28", what: "a newer owner of a socket survives the older one's end", test: reverseSocketOwners},
		{id: "F29", what: "a forward belongs to its connection", test: reverseOwnership},
		{id: "M03", what: "a forward added over a shared connection prints its port", test: reverseMuxPort},
	})
}

func reverseFixed(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", answerLate)
	port := sshkit.FreePort(tb)
	background(tb, s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("%d:%s", port, l.Addr()), "pod"))
	conn := dialSoon(tb, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	_, _ = conn.Write([]byte("q"))
	_ = conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	want(tb, "bytes", len(got), 1<<20)
}

func reverseZero(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		ok, payload, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(bindMsg{host, 0}))
		var got struct{ Port uint32 }
		if err != nil || !ok || ssh.Unmarshal(payload, &got) != nil || got.Port == 0 {
			tb.Fatalf("%s: got %v %q %v", host, ok, payload, err)
		}
		// Nobody takes the connection at this end, so it may be reset at once.
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", got.Port))
		if err == nil {
			_ = conn.Close()
		} else if !errors.Is(err, syscall.ECONNRESET) {
			tb.Fatal(err)
		}
	}
	l, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		if conn, err := l.Accept(); err == nil {
			echo(conn)
			_ = conn.Close()
		}
	}()
	if err := roundTrip(dialSoon(tb, "tcp", l.Addr().String()), noise(100<<10)); err != nil {
		tb.Error(err)
	}
}

type bindMsg struct {
	Host string
	Port uint32
}

// outside is an address of this machine that is not loopback; "" if it has none.
func outside() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

func reachable(host string, port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(port)), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// defaultReverse forwards a port without naming an address to listen on.
func defaultReverse(tb testing.TB, s *sshkit.Server) (port int) {
	tb.Helper()
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	port = sshkit.FreePort(tb)
	background(tb, s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("%d:%s", port, l.Addr()), "pod"))
	return port
}

func reverseLoopback(tb testing.TB, s *sshkit.Server) {
	port := defaultReverse(tb, s)
	_ = dialSoon(tb, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if host := outside(); host != "" {
		want(tb, "from outside", reachable(host, port), false)
	}
}

func reverseFamilies(tb testing.TB, s *sshkit.Server) {
	port := defaultReverse(tb, s)
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn := dialSoon(tb, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		want(tb, host, roundTrip(conn, []byte("x")), error(nil))
	}
}

func reverseAddresses(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	for bind, open := range map[string]bool{"127.0.0.1": false, "0.0.0.0": true, "*": true} {
		port := sshkit.FreePort(tb)
		background(tb, s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("%s:%d:%s", bind, port, l.Addr()), "pod"))
		if err := roundTrip(dialSoon(tb, "tcp", fmt.Sprintf("127.0.0.1:%d", port)), []byte("x")); err != nil {
			tb.Errorf("%s: %v", bind, err)
		}
		if host := outside(); host != "" {
			want(tb, bind+" from outside", reachable(host, port), open)
		}
	}
}

func reverseRebind(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	port := sshkit.FreePort(tb)
	spec := fmt.Sprintf("%d:%s", port, l.Addr())
	first := s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", spec, "pod")
	if err := first.Start(); err != nil {
		tb.Fatal(err)
	}
	busy := dialSoon(tb, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	_ = first.Process.Kill()
	_ = first.Wait()
	_, _ = io.ReadAll(busy)
	var err error
	sshkit.Await(tb, "the port can be had again", func() bool {
		var again net.Listener
		c := s.Dial(tb)
		if again, err = c.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = again.Close()
		}
		_ = c.Close()
		return err == nil
	})
}

func reverseCancelMux(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	port := sshkit.FreePort(tb)
	ctl := sharedConnection(tb, s)
	spec := fmt.Sprintf("%d:%s", port, l.Addr())
	want(tb, "forward", sshkit.Run(tb, s.SSH("-S", ctl, "-O", "forward", "-R", spec, "pod")).Code, 0)
	want(tb, "reachable", reachable("127.0.0.1", port), true)
	want(tb, "cancel", sshkit.Run(tb, s.SSH("-S", ctl, "-O", "cancel", "-R", spec, "pod")).Code, 0)
	sshkit.Await(tb, "the port is free", func() bool { return !reachable("127.0.0.1", port) })
}

func reverseMuxPort(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	ctl := sharedConnection(tb, s)
	r := sshkit.Run(tb, s.SSH("-S", ctl, "-O", "forward", "-R", "0:"+l.Addr().String(), "pod"))
	var got int
	_, _ = fmt.Sscan(r.Stdout, &got)
	want(tb, "dynamic port reachable", got > 0 && reachable("127.0.0.1", got), true)
}

func reverseTwo(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	a, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := a.Close(); err != nil {
		tb.Errorf("cancel: %v", err)
	}
	want(tb, "cancelled one", reachable("127.0.0.1", portOf(a)), false)
	want(tb, "other one", reachable("127.0.0.1", portOf(b)), true)
	_ = c.Close()
	sshkit.Await(tb, "all are freed", func() bool { return !reachable("127.0.0.1", portOf(b)) })
}

func reverseTaken(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	r := sshkit.Run(tb, s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("127.0.0.1:%d:127.0.0.1:1", portOf(l)), "pod"))
	want(tb, "status", r.Code, 255)
}

func reverseUnknown(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	ok, _, err := c.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(bindMsg{"localhost", 4}))
	want(tb, "tcp", fmt.Sprint(ok, err), "false <nil>")
	ok, _, err = c.SendRequest("cancel-streamlocal-forward@openssh.com", true, ssh.Marshal(struct{ P string }{"/no/such"}))
	want(tb, "socket", fmt.Sprint(ok, err), "false <nil>")
}

func reverseSocket(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", answerLate)
	path := filepath.Join(tb.TempDir(), "remote.sock")
	cmd := s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-R", path+":"+l.Addr().String(), "pod")
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	conn := dialSoon(tb, "unix", path)
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	want(tb, "mode", st.Mode().Perm(), os.FileMode(0o600))
	_, _ = conn.Write([]byte("q"))
	_ = conn.(*net.UnixConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	want(tb, "bytes", len(got), 1<<20)
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if !s.OpenSSH { // the reference leaves it
		sshkit.Await(tb, "the socket is removed", func() bool { _, err := os.Lstat(path); return os.IsNotExist(err) })
	}
}

func reverseSocketOwners(tb testing.TB, s *sshkit.Server) {
	path := filepath.Join(tb.TempDir(), "shared.sock")
	open := func(word string) *ssh.Client {
		c := s.Dial(tb)
		l, err := c.ListenUnix(path)
		if err != nil {
			tb.Fatalf("%s: %v", word, err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, word+"\n")
				_ = conn.Close()
			}
		}()
		return c
	}
	answers := func() string {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line)
	}
	a := open("a")
	want(tb, "first", answers(), "a")
	b := open("b")
	want(tb, "second", answers(), "b")
	_ = a.Close()
	_ = a.Wait()
	if !s.OpenSSH {
		sshkit.Await(tb, "the first is gone", func() bool { return metric(tb, s, "okteto_remote_connections_active") == "1" })
	}
	want(tb, "second, after the first's end", answers(), "b")
	_ = open("c")
	_ = b.Close()
	want(tb, "third", answers(), "c")
}

func reverseOwnership(tb testing.TB, s *sshkit.Server) {
	a, b := s.Dial(tb), s.Dial(tb)
	l, err := a.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ok, _, _ := b.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(bindMsg{"127.0.0.1", uint32(portOf(l))}))
	want(tb, "cancelled by another connection", ok, false)
	_ = b.Close()
	want(tb, "reachable", reachable("127.0.0.1", portOf(l)), true)
}
