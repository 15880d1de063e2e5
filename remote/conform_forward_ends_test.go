package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceForwardEnds shows how forwards end, and that they end alone.
func TestConformanceForwardEnds(t *testing.T) {
	conform(t, []row{
		{id: "F23", what: "abortive and normal closes reach the client, nothing leaks", test: closesReachClient},
		{id: "F24", what: "a dial into a black hole blocks nobody", test: blackHole},
		{id: "F25", what: "a stalled forward blocks nobody", test: stalledForward},
		{
			id: "F31", what: "loss of the connection reaches the target as a reset", test: lossIsReset,
			sshdFails: "OpenSSH closes the target as if the stream were complete",
		},
		{id: "F27", what: "data sent right before a close arrives", test: dataBeforeClose},
		{id: "F34", what: "a forward that is reset leaves the others alone", test: resetAlone},
	})
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
	if time.Since(begin) > beforeDialTimeout {
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
	arrived, end := make(chan struct{}), make(chan error, 1)
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, len("half of a message")))
		close(arrived)
		_, err := io.Copy(io.Discard, conn)
		end <- err
	})
	ch := s.RawDial(tb).Open("direct-tcpip", 1<<20, directTCPIP("127.0.0.1", portOf(l)))
	ch.Write([]byte("half of a message"))
	<-arrived
	resetConn(ch.Conn)
	select {
	case err := <-end:
		want(tb, fmt.Sprintf("reset (%v)", err), errors.Is(err, syscall.ECONNRESET), true)
	case <-time.After(10 * time.Second):
		tb.Error("the target does not learn of it")
	}
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

// countFDs of the server.
func countFDs(s *sshkit.Server) int {
	dir, _ := os.ReadDir("/proc/" + strconv.Itoa(s.Process.Pid) + "/fd")
	return len(dir)
}

// resetAlone resets at the client's end, and at the target's, in the middle.
func resetAlone(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		b := make([]byte, 1)
		_, _ = io.ReadFull(conn, b)
		if b[0] == 'r' {
			_, _ = conn.Write(make([]byte, 100_000))
			resetConn(conn)
			return
		}
		_, _ = conn.Write(b)
		_, _ = io.Copy(conn, conn)
	})
	addr := localForward(tb, s, l.Addr().String())
	steady := dialSoon(tb, "tcp", addr)
	data := noise(4 << 20)
	data[0] = 'k'
	done := make(chan error, 1)
	go func() { done <- roundTrip(steady, data) }()
	for range 20 {
		conn := dialSoon(tb, "tcp", addr)
		_, _ = conn.Write([]byte("k and more"))
		resetConn(conn)
		conn = dialSoon(tb, "tcp", addr)
		_, _ = conn.Write([]byte("r"))
		_, _ = io.Copy(io.Discard, conn) // until the reset is told
		_ = conn.Close()
	}
	want(tb, "the other one", <-done, error(nil))
	want(tb, "a new one", roundTrip(dialSoon(tb, "tcp", addr), []byte("k")), error(nil))
}
