package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"okteto/internal/testkit/proxy"
)

// echo answers each connection with what it gets, once that has ended.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				content, _ := io.ReadAll(conn)
				_, _ = conn.Write(content)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T) (*proxy.Proxy, *net.TCPConn) {
	t.Helper()
	p, err := proxy.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return p, conn.(*net.TCPConn)
}

func exchange(t *testing.T, conn *net.TCPConn, content []byte) {
	t.Helper()
	if _, err := conn.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("got %d of %d bytes, %v", len(got), len(content), err)
	}
}

func TestBothDirectionsEndAlone(t *testing.T) {
	_, conn := dial(t)
	exchange(t, conn, bytes.Repeat([]byte("x"), 1<<20))
}

func TestDelayIsAddedEachWay(t *testing.T) {
	p, conn := dial(t)
	p.SetDelay(40 * time.Millisecond)
	start := time.Now()
	exchange(t, conn, []byte("hello"))
	if took := time.Since(start); took < 80*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestStallHoldsAndLetsGo(t *testing.T) {
	p, conn := dial(t)
	p.Stall(true)
	if _, err := conn.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("something came through")
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.Stall(false)
	if got, err := io.ReadAll(conn); err != nil || string(got) != "held" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStrandedConnectionsAreForgotten(t *testing.T) {
	p, conn := dial(t)
	if _, err := conn.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	p.Strand()
	if _, err := conn.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the other end was told: %v", err)
	}
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	exchange(t, again.(*net.TCPConn), []byte("a new one works"))
}

func TestCutAndRefuse(t *testing.T) {
	p, conn := dial(t)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for connected := false; !connected; {
		p.Cut()
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := conn.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		connected = err != nil && (!ok || !timeout.Timeout())
	}
	p.Refuse(true)
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n, err := again.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of a refused connection", n)
	}
}
