//go:build linux

package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"okteto/cli/tunnel"
	"okteto/cli/tunnel/tunneltest"
	"okteto/internal/testkit/proxy"
)

// ways leads each connection to the server through a proxy of its own.
type ways struct {
	server *tunneltest.Server
	mu     sync.Mutex // protects the following
	byAddr map[string]*proxy.Proxy
}

func (w *ways) dial(ctx context.Context) (net.Conn, error) {
	way, err := proxy.New(w.server.Addr())
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", way.Addr())
	if err != nil {
		way.Close()
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byAddr[conn.LocalAddr().String()] = way
	return conn, nil
}

// of is the proxy that a connection goes through.
func (w *ways) of(client *tunnel.Client) *proxy.Proxy {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byAddr[client.LocalAddr().String()]
}

func (w *ways) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, way := range w.byAddr {
		way.Close()
	}
}

// bulkData is far more than what is on its way when the way is blocked, and takes
// longer at bulkRate than anything before that.
const (
	bulkData = 64 << 20
	bulkRate = 4 << 20 // bytes per second
)

// okteto/okteto#639: what is typed is answered while the connection for bulk data is
// full and does not get on.
func TestKeystrokesPassBulkDataThatIsStuck(t *testing.T) {
	w := &ways{server: tunneltest.Start(t), byAddr: map[string]*proxy.Proxy{}}
	t.Cleanup(w.close)
	link := w.server.LinkWith(t, tunnel.Options{Dial: w.dial})
	typing := newEcho(t, interactive(t, link))
	bulk, err := link.Bulk(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	session, err := bulk.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	way := w.of(bulk)
	way.SetRate(bulkRate)
	var counted bytes.Buffer
	session.Stdin, session.Stdout = io.LimitReader(rand.Reader, bulkData), &counted
	if err := session.Start("wc -c"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- session.Wait() }()
	for way.Bytes() < 1<<20 { // on its way
		typing.types(t, "before")
	}
	way.Stall(true)
	for range 20 {
		typing.types(t, "meanwhile")
	}
	select {
	case err := <-done:
		t.Fatalf("the bulk data had an end before what was typed: %v", err)
	default:
	}
	way.SetRate(0)
	way.Stall(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(counted.String()), strconv.Itoa(bulkData); got != want {
		t.Errorf("%s bytes have come, want %s", got, want)
	}
}

// echo is a program at a terminal that says what it is told.
type echo struct {
	in  io.Writer
	out io.Reader
}

func newEcho(t *testing.T, client *tunnel.Client) *echo {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	// The terminal says nothing by itself, so that there is one answer.
	if err := session.Start("stty raw -echo; echo ready; exec cat"); err != nil {
		t.Fatal(err)
	}
	e := &echo{in, out}
	e.reads(t, "ready\n")
	return e
}

func (e *echo) types(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(e.in, text); err != nil {
		t.Fatal(err)
	}
	e.reads(t, text)
}

func (e *echo) reads(t *testing.T, text string) {
	t.Helper()
	answer := make([]byte, len(text))
	if _, err := io.ReadFull(e.out, answer); err != nil || string(answer) != text {
		t.Fatalf("%q was answered with %q, %v", text, answer, err)
	}
}
