package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceForward(t *testing.T) {
	conform(t, []row{
		{id: "F01", what: "local forward without a session", test: localEcho},
		{id: "F02", what: "50 at once with half close", test: localMany},
		{id: "F03", what: "client half closes, late answer arrives", test: lateAnswer("tcp")},
		{id: "F04", what: "target half closes, later data of the client arrives", test: targetHalfCloses},
		{id: "F05", what: "closed port is refused at once, connection lives", test: closedPort},
		{
			id: "F30", what: "0.0.0.0, localhost and ::1 lead to loopback listeners", test: loopbackNames,
			sshdFails: "OpenSSH does not try ::1 for 0.0.0.0",
		},
		{id: "F06", what: "localhost and ::1 as destinations", test: forwardFamilies},
		{id: "F07", what: "unix sockets, late answer arrives", test: lateAnswer("unix")},
		{id: "F08", what: "local socket to remote socket", test: socketToSocket},
		{id: "F20", what: "dynamic forward, SOCKS5 and SOCKS4a", test: socks},
		{id: "F21", what: "stdio forward with half close", test: stdioForward},
		{id: "F22", what: "big transfer each way", test: bigForward},
		{id: "F26", what: "X11 and tunnels are refused, the command runs", test: x11AndTunnel},
		{id: "J05", what: "unknown channel types are refused with the reason", test: unknownChannels},
	})
}

func localEcho(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	addr := localForward(tb, s, l.Addr().String())
	if err := roundTrip(dialSoon(tb, "tcp", addr), []byte("hello")); err != nil {
		tb.Error(err)
	}
}

func localMany(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	addr := localForward(tb, s, l.Addr().String())
	_ = dialSoon(tb, "tcp", addr).Close()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				err = roundTrip(conn, noise(scale(2<<20, 300<<10)+i))
				_ = conn.Close()
			}
			if err != nil {
				tb.Error(err)
			}
		}()
	}
	wg.Wait()
}

func lateAnswer(network string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(tb.TempDir(), "s")
		}
		l := listen(tb, network, address, answerLate)
		addr := localForward(tb, s, l.Addr().String())
		for range scale(10, 3) {
			conn := dialSoon(tb, "tcp", addr)
			_, _ = conn.Write([]byte("question"))
			_ = conn.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(conn)
			want(tb, fmt.Sprintf("bytes (%v)", err), len(got), 1<<20)
		}
	}
}

func targetHalfCloses(tb testing.TB, s *sshkit.Server) {
	got := make(chan string, 1)
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, _ = io.WriteString(conn, "bye")
		_ = conn.(*net.TCPConn).CloseWrite()
		data, _ := io.ReadAll(conn)
		got <- string(data)
	})
	conn := dialSoon(tb, "tcp", localForward(tb, s, l.Addr().String()))
	data, _ := io.ReadAll(conn)
	want(tb, "target's word", string(data), "bye")
	_, _ = io.WriteString(conn, "still here")
	_ = conn.(*net.TCPConn).CloseWrite()
	select {
	case g := <-got:
		want(tb, "client's later data", g, "still here")
	case <-time.After(10 * time.Second):
		tb.Error("the target waits for ever")
	}
}

// beforeDialTimeout is half of what the server lets a target take to accept: what
// took less did not wait for that.
const beforeDialTimeout = 15 * time.Second

func closedPort(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	port := sshkit.FreePort(tb)
	begin := time.Now()
	_, err := c.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	var open *ssh.OpenChannelError
	if !errors.As(err, &open) || open.Reason != ssh.ConnectionFailed {
		tb.Errorf("got %v, want a failed connection", err)
	}
	if time.Since(begin) > beforeDialTimeout {
		tb.Error("not at once")
	}
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	conn, err := c.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatalf("connection does not live: %v", err)
	}
	_ = conn.Close()
}

func loopbackNames(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, on := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		l := listen(tb, "tcp", on, echo)
		for _, host := range []string{"0.0.0.0", "localhost", "LOCALHOST"} {
			conn, err := c.Dial("tcp", fmt.Sprintf("%s:%d", host, portOf(l)))
			if err != nil {
				tb.Errorf("%s to a listener on %s: %v", host, on, err)
				continue
			}
			_, _ = conn.Write([]byte("x"))
			_, err = io.ReadFull(conn, make([]byte, 1))
			want(tb, "echo", err, error(nil))
			_ = conn.Close()
		}
	}
}

func socketToSocket(tb testing.TB, s *sshkit.Server) {
	dir := tb.TempDir()
	listen(tb, "unix", filepath.Join(dir, "r"), echo)
	background(tb, s.SSH("-N", "-L", dir+"/l:"+dir+"/r", "pod"))
	if err := roundTrip(dialSoon(tb, "unix", dir+"/l"), noise(1<<20)); err != nil {
		tb.Error(err)
	}
}

func socks(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) { _, _ = io.WriteString(conn, "through socks") })
	addr := fmt.Sprintf("127.0.0.1:%d", sshkit.FreePort(tb))
	background(tb, s.SSH("-N", "-D", addr, "pod"))
	port := portOf(l)
	p := []byte{byte(port >> 8), byte(port)}
	v5 := dialSoon(tb, "tcp", addr)
	_, _ = v5.Write(append([]byte{5, 1, 0, 5, 1, 0, 3, 9}, append([]byte("localhost"), p...)...))
	got, _ := io.ReadAll(v5)
	want(tb, "SOCKS5", strings.HasSuffix(string(got), "through socks"), true)
	v4 := dialSoon(tb, "tcp", addr)
	_, _ = v4.Write(append(append([]byte{4, 1}, p...), []byte("\x00\x00\x00\x01user\x00localhost\x00")...))
	got, _ = io.ReadAll(v4)
	want(tb, "SOCKS4a", strings.HasSuffix(string(got), "through socks"), true)
}

func stdioForward(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", answerLate)
	cmd := s.SSH("-W", l.Addr().String(), "pod")
	cmd.Stdin = strings.NewReader("question")
	want(tb, "bytes", len(sshkit.Run(tb, cmd).Stdout), 1<<20)
}

func bigForward(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	if err := roundTrip(dialSoon(tb, "tcp", localForward(tb, s, l.Addr().String())), noise(big())); err != nil {
		tb.Error(err)
	}
}

func directTCPIP(host string, port int) []byte {
	return ssh.Marshal(struct {
		H  string
		P  uint32
		OH string
		OP uint32
	}{host, uint32(port), "127.0.0.1", 1})
}

func unknownChannels(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	kinds := []string{"no-such-channel", "x11", "forwarded-tcpip", "auth-agent@openssh.com"}
	if !s.OpenSSH { // a malformed one ends the connection there
		kinds = append(kinds, "tun@openssh.com")
	}
	for _, kind := range kinds {
		_, _, err := c.OpenChannel(kind, nil)
		var open *ssh.OpenChannelError
		if !errors.As(err, &open) || open.Reason != ssh.UnknownChannelType && !s.OpenSSH {
			tb.Errorf("%s: got %v", kind, err)
		}
	}
	sess, err := c.NewSession()
	if err != nil {
		tb.Fatalf("connection does not live: %v", err)
	}
	_ = sess.Close()
}

func forwardFamilies(tb testing.TB, s *sshkit.Server) {
	for _, listen := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
		if err != nil {
			tb.Skipf("no %s here: %v", listen, err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("hello\n"))
				_ = conn.Close()
			}
		}()
		destinations := []string{listen}
		if listen == "127.0.0.1" || !s.OpenSSH { // the reference asks the hosts file only
			destinations = append(destinations, "localhost")
		}
		for _, to := range destinations {
			r := sshkit.Run(tb, s.SSH("-W", net.JoinHostPort(to, fmt.Sprint(portOf(l))), "pod"))
			want(tb, "from "+to+", "+listen+" listens", r.Stdout, "hello\n")
		}
	}
}

func x11AndTunnel(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-Y", "pod", "echo in:$DISPLAY")
	cmd.Env = append(cmd.Env, "DISPLAY=127.0.0.1:99", "XAUTHORITY="+filepath.Join(tb.TempDir(), "none"))
	want(tb, "with X11", sshkit.Run(tb, cmd).Stdout, "in:\n")
	r := sshkit.Run(tb, s.SSH("-w", "any:any", "-o", "ExitOnForwardFailure=no", "pod", "echo in"))
	if r.Code == 0 { // without a device here the client gives up by itself
		want(tb, "with a tunnel", r.Stdout, "in\n")
	}
}
