package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
			id: "F06", what: "0.0.0.0, localhost and ::1 lead to loopback listeners", test: loopbackNames,
			sshdFails: "OpenSSH does not try ::1 for 0.0.0.0",
		},
		{id: "F07", what: "unix sockets, late answer arrives", test: lateAnswer("unix")},
		{id: "F08", what: "local socket to remote socket", test: socketToSocket},
		{id: "F20", what: "dynamic forward, SOCKS5 and SOCKS4a", test: socks},
		{id: "F21", what: "stdio forward with half close", test: stdioForward},
		{id: "F22", what: "big transfer each way", test: bigForward},
		{id: "F23", what: "abortive and normal closes reach the client, nothing leaks", test: closesReachClient},
		{id: "F24", what: "a dial into a black hole blocks nobody", test: blackHole},
		{id: "F25", what: "a stalled forward blocks nobody", test: stalledForward},
		{
			id: "F26", what: "loss of the connection reaches the target as a reset", test: lossIsReset,
			sshdFails: "OpenSSH closes the target as if the stream were complete",
		},
		{id: "F27", what: "data sent right before a close arrives", test: dataBeforeClose},
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
	time.Sleep(100 * time.Millisecond) // the case is data after the end is known
	_, _ = io.WriteString(conn, "still here")
	_ = conn.(*net.TCPConn).CloseWrite()
	select {
	case g := <-got:
		want(tb, "client's later data", g, "still here")
	case <-time.After(10 * time.Second):
		tb.Error("the target waits for ever")
	}
}

func closedPort(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	port := sshkit.FreePort(tb)
	begin := time.Now()
	_, err := c.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	var open *ssh.OpenChannelError
	if !errors.As(err, &open) || open.Reason != ssh.ConnectionFailed {
		tb.Errorf("got %v, want a failed connection", err)
	}
	if time.Since(begin) > 3*time.Second {
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

func closesReachClient(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		b := make([]byte, 1)
		_, _ = io.ReadFull(conn, b)
		if b[0] == 'r' {
			resetConn(conn)
		}
	})
	c := s.Dial(tb)
	for i := range 100 {
		conn, err := c.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		_, _ = conn.Write([]byte{"rc"[i%2]})
		_, err = io.ReadAll(conn)
		want(tb, "end", err, error(nil))
		_ = conn.Close()
	}
	if !s.OpenSSH {
		sshkit.Await(tb, "descriptors are back", func() bool { return countFDs(s) < 40 })
	}
}

// countFDs of the server.
func countFDs(s *sshkit.Server) int {
	dir, _ := os.ReadDir("/proc/" + strconv.Itoa(s.Process.Pid) + "/fd")
	return len(dir)
}

func blackHole(tb testing.TB, s *sshkit.Server) {
	// A listener whose queue is full answers no more.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer syscall.Close(fd)
	_ = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	_ = syscall.Listen(fd, 0)
	sa, _ := syscall.Getsockname(fd)
	hole := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 3 {
		if conn, err := net.DialTimeout("tcp", hole, 200*time.Millisecond); err == nil {
			defer conn.Close()
		}
	}
	c := s.Dial(tb)
	for range 5 {
		go func() { _, _ = c.Dial("tcp", hole) }()
	}
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	begin := time.Now()
	conn, err := c.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	_ = conn.Close()
	sess, err := c.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	want(tb, "session", sess.Run("true"), error(nil))
	if time.Since(begin) > 5*time.Second {
		tb.Error("others were held up")
	}
}

func stalledForward(tb testing.TB, s *sshkit.Server) {
	stop := make(chan struct{})
	tb.Cleanup(func() { close(stop) })
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		go func() { _, _ = io.Copy(conn, zeros{}) }() // floods a client that does not read
		<-stop
	})
	c := s.Dial(tb)
	for range 4 {
		conn, err := c.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		go func() { _, _ = io.Copy(conn, zeros{}) }() // floods a target that does not read
	}
	sess, err := c.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan string, 1)
	go func() {
		out, _ := sess.Output("head -c 4000000 /dev/zero | wc -c")
		done <- strings.TrimSpace(string(out))
	}()
	select {
	case out := <-done:
		want(tb, "session", out, "4000000")
	case <-time.After(20 * time.Second):
		tb.Error("the session is held up")
	}
}

func lossIsReset(tb testing.TB, s *sshkit.Server) {
	end := make(chan error, 1)
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, err := io.Copy(io.Discard, conn)
		end <- err
	})
	ch := s.RawDial(tb).Open("direct-tcpip", 1<<20, directTCPIP("127.0.0.1", portOf(l)))
	ch.Write([]byte("half of a message"))
	time.Sleep(50 * time.Millisecond) // let it arrive
	resetConn(ch.Conn)
	select {
	case err := <-end:
		want(tb, fmt.Sprintf("reset (%v)", err), errors.Is(err, syscall.ECONNRESET), true)
	case <-time.After(10 * time.Second):
		tb.Error("the target does not learn of it")
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

func dataBeforeClose(tb testing.TB, s *sshkit.Server) {
	got := make(chan []byte, 1)
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		time.Sleep(100 * time.Millisecond) // a slow target
		data, _ := io.ReadAll(conn)
		got <- data
	})
	c := s.Dial(tb)
	for range 5 {
		conn, err := c.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		data := noise(1 << 20)
		_, _ = conn.Write(data)
		_ = conn.Close()
		want(tb, "bytes", len(<-got), len(data))
	}
}

func unknownChannels(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, kind := range []string{"no-such-channel", "x11", "forwarded-tcpip", "auth-agent@openssh.com"} {
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
