//go:build linux

package forward_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"okteto/cli/forward"
	"okteto/cli/tunnel/tunneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func manager(t *testing.T) (*forward.Manager, *tunneltest.Server) {
	t.Helper()
	server := tunneltest.Start(t)
	link := server.Link(t)
	m := forward.NewManager(link.Interactive, nil)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, server
}

// target is a server in the pod; handle gets each connection.
func target(t *testing.T, handle func(*net.TCPConn)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	return listener.Addr().(*net.TCPAddr).Port
}

func dial(t *testing.T, host string, port int) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func listen(t *testing.T, m *forward.Manager, remote int) int {
	t.Helper()
	port, err := m.Listen(forward.Local{RemotePort: remote})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The client has said all it will; the answer comes after that.
func TestHalfCloseByTheClient(t *testing.T) {
	m, _ := manager(t)
	port := listen(t, m, target(t, func(c *net.TCPConn) {
		question, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("read question: %v", err)
		}
		_, _ = c.Write(bytes.Repeat(question, 1<<20/len(question)))
	}))
	c := dial(t, "127.0.0.1", port)
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || len(answer) != 1<<20 {
		t.Errorf("got %d bytes, %v; want 1 MiB", len(answer), err)
	}
}

// The server has said all it will, and goes on reading.
func TestHalfCloseByTheServer(t *testing.T) {
	m, _ := manager(t)
	got := make(chan string, 1)
	port := listen(t, m, target(t, func(c *net.TCPConn) {
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		got <- string(all)
	}))
	c := dial(t, "127.0.0.1", port)
	if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
		t.Fatalf("read %q, %v; want the end", rest, err)
	}
	if _, err := c.Write([]byte("said after the end")); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if said := <-got; said != "said after the end" {
		t.Errorf("the server read %q", said)
	}
}

func TestBothLoopbacks(t *testing.T) {
	if _, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	}
	m, _ := manager(t)
	port := listen(t, m, target(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("hello")) }))
	for _, host := range []string{"127.0.0.1", "::1"} {
		if got, err := io.ReadAll(dial(t, host, port)); string(got) != "hello" || err != nil {
			t.Errorf("through %s: %q, %v", host, got, err)
		}
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	m, _ := manager(t)
	taken := target(t, func(*net.TCPConn) {})
	_, err := m.Listen(forward.Local{Port: taken, RemotePort: 1})
	var portErr *forward.PortError
	if !errors.As(err, &portErr) {
		t.Fatalf("Listen = %v, want a PortError", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(portErr.Holder, want) {
		t.Errorf("Holder = %q, want %s", portErr.Holder, want)
	}
}

// okteto/okteto#511, #643: after a lost connection the forwards were dead.
func TestForwardsOutliveTheirConnection(t *testing.T) {
	m, server := manager(t)
	port := listen(t, m, target(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("hello")) }))
	if got, err := io.ReadAll(dial(t, "127.0.0.1", port)); string(got) != "hello" || err != nil {
		t.Fatalf("before: %q, %v", got, err)
	}
	server.Refuse()
	server.Cut()
	c := dial(t, "127.0.0.1", port) // waits for the way to be back
	server.Restore()
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("after: %q, %v", got, err)
	}
}

// kubernetes/kubernetes#74551: one refused connection ended the whole forward.
func TestOneRefusedConnectionEndsNoOther(t *testing.T) {
	m, _ := manager(t)
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := unused.Addr().(*net.TCPAddr).Port
	_ = unused.Close()
	good := listen(t, m, target(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }))
	bad := listen(t, m, nobody)
	c := dial(t, "127.0.0.1", good)
	if _, err := io.ReadAll(dial(t, "127.0.0.1", bad)); err == nil {
		t.Error("a connection to nobody ended as if somebody had answered")
	}
	if _, err := c.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "still" || err != nil {
		t.Errorf("the other connection: %q, %v", got, err)
	}
}

func TestThousandsOfShortConnections(t *testing.T) {
	m, _ := manager(t)
	port := listen(t, m, target(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }))
	const workers, each = 20, 100
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range each {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				_, _ = fmt.Fprintf(conn, "%d", i)
				_ = conn.(*net.TCPConn).CloseWrite()
				got, err := io.ReadAll(conn)
				_ = conn.Close()
				if string(got) != strconv.Itoa(i) || err != nil {
					t.Errorf("connection %d: %q, %v", i, got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestBulkArrivesWhole(t *testing.T) {
	m, _ := manager(t)
	sum := make(chan [32]byte, 1)
	port := listen(t, m, target(t, func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		sum <- sha256.Sum256(all)
	}))
	content := make([]byte, 16<<20)
	_, _ = rand.Read(content)
	c := dial(t, "127.0.0.1", port)
	if _, err := c.Write(content); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if <-sum != sha256.Sum256(content) {
		t.Error("other bytes arrived than were sent")
	}
}

func TestReverse(t *testing.T) {
	m, server := manager(t)
	laptop := target(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	// okteto/okteto#1170: the laptop's port is in use, as it must be.
	pod := freePort(t)
	reports := make(chan error, 16)
	m.Reverse(forward.Reverse{RemotePort: pod, LocalPort: laptop}, func(err error) { reports <- err })
	ask := func() {
		t.Helper()
		if err := <-reports; err != nil {
			t.Fatal(err)
		}
		c := dial(t, "127.0.0.1", pod)
		_, _ = c.Write([]byte("from the pod"))
		_ = c.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "from the pod" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	ask()
	server.Cut()
	ask()
}

func TestReverseSaysThatThePodsPortIsTaken(t *testing.T) {
	m, _ := manager(t)
	taken := target(t, func(*net.TCPConn) {})
	reports := make(chan error, 16)
	m.Reverse(forward.Reverse{RemotePort: taken, LocalPort: 1}, func(err error) { reports <- err })
	select {
	case err := <-reports:
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(taken)) {
			t.Errorf("report = %v, want one that names port %d", err, taken)
		}
	case <-time.After(patience):
		t.Error("nothing was reported")
	}
}

func TestPipeEndsWithItsContext(t *testing.T) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); forward.Pipe(ctx, b, c) }()
	cancel()
	<-done
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("one end is still open")
	}
	if _, err := d.Read(make([]byte, 1)); err == nil {
		t.Error("the other end is still open")
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
