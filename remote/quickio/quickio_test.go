package quickio_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"okteto/remote/quickio"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection and its other end.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), other.Close() })
	return conn.(*net.TCPConn), other.(*net.TCPConn)
}

// TestBytesArrive shows that pieces of all sizes arrive in order.
func TestBytesArrive(t *testing.T) {
	a, b := pair(t)
	data := make([]byte, 16<<20)
	_, _ = rand.Read(data)
	go func() {
		w := quickio.New(a)
		for rest, n := data, 1; len(rest) > 0; n = n*2%70001 + 1 {
			n = min(n, len(rest))
			if m, err := w.Write(rest[:n]); m != n || err != nil {
				t.Errorf("Write of %d bytes: %d, %v", n, m, err)
			}
			rest = rest[n:]
		}
		_ = a.CloseWrite()
	}()
	got, err := io.ReadAll(quickio.New(b))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d arrived, or others: %v", len(got), len(data), err)
	}
}

func TestPipeOfFiles(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := quickio.New(w).Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if got, err := io.ReadAll(quickio.New(r)); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestDeadlineAndCloseEndCalls shows that what ends the calls of the wrapped
// connection ends these.
func TestDeadlineAndCloseEndCalls(t *testing.T) {
	a, _ := pair(t)
	q := quickio.New(a)
	_ = a.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := q.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
	_ = a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	piece := make([]byte, 1000)
	var err error
	for err == nil { // until the buffers are full
		_, err = q.Write(piece)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the deadline: %v", err)
	}
	_ = a.SetDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() {
		_, err := q.Read(make([]byte, 1))
		ended <- err
	}()
	_ = a.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

func TestResetIsAnError(t *testing.T) {
	a, b := pair(t)
	_ = b.SetLinger(0)
	_ = b.Close()
	if n, err := quickio.New(a).Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after a reset: %d, %v", n, err)
	}
}

// TestNoDescriptor shows that what has none is used as it is.
func TestNoDescriptor(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	if quickio.New(a) != io.ReadWriter(a) {
		t.Error("it was wrapped")
	}
}
