//go:build linux

package tunnel_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"okteto/cli/tunnel"
	"okteto/cli/tunnel/tunneltest"
	"okteto/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for conditions that hold at once unless something is broken.
const patience = 30 * time.Second

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func works(t *testing.T, client *tunnel.Client) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output("echo works")
	if string(out) != "works\n" || err != nil {
		t.Fatalf("a command over the connection: %q, %v", out, err)
	}
}

func interactive(t *testing.T, link *tunnel.Link) *tunnel.Client {
	t.Helper()
	client, err := link.Interactive(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestLinkReconnectsAfterACut(t *testing.T) {
	server := tunneltest.Start(t)
	link := server.Link(t)
	first := interactive(t, link)
	works(t, first)
	if _, err := link.Bulk(limited(t)); err != nil {
		t.Fatal(err)
	}
	server.Cut()
	<-first.Done()
	second := interactive(t, link)
	if second == first {
		t.Fatal("the connection that was cut was handed out again")
	}
	works(t, second)
	bulk, err := link.Bulk(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	works(t, bulk)
}

// okteto/okteto#511: after a time without network the forwards were dead.
func TestLinkNoticesAPathThatSwallowsPackets(t *testing.T) {
	server := tunneltest.Start(t)
	var silent atomic.Int32
	link := server.LinkWith(t, tunnel.Options{Silent: func() { silent.Add(1) }})
	first := interactive(t, link)
	server.Block()
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Fatal("a dead connection was not noticed")
	}
	if silent.Load() == 0 {
		t.Error("nobody was told that other connections may be dead too")
	}
	server.Restore()
	back := time.Now()
	works(t, interactive(t, link))
	t.Logf("works again %v after the path was back", time.Since(back))
}

func TestLinkPausesBetweenAttempts(t *testing.T) {
	server := tunneltest.Start(t)
	server.Refuse()
	link := server.Link(t)
	for { // the first attempts follow one another quickly
		status, changed := link.Status()
		if errors.Is(status.Err, tunneltest.ErrRefused) && server.Dials() > 3 {
			break
		}
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatal("no attempts")
		}
	}
	server.Restore()
	works(t, interactive(t, link))
	if n := server.Dials(); n > 40 {
		t.Errorf("%d attempts: there is no pause between them", n)
	}
}

func TestLinkRetriesAtOnceWhenTold(t *testing.T) {
	server := tunneltest.Start(t)
	link := server.Link(t)
	first := interactive(t, link)
	link.Retry(true)
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Fatal("the connection was kept")
	}
	works(t, interactive(t, link))
}

func TestLinkRefusesAnotherHostKey(t *testing.T) {
	server := tunneltest.Start(t)
	other, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if server.HostKey, err = other.HostPublicKey(); err != nil {
		t.Fatal(err)
	}
	link := server.Link(t)
	for {
		status, changed := link.Status()
		if status.Connected {
			t.Fatal("connected to a server with another key")
		}
		if status.Err != nil {
			return
		}
		<-changed
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	server := tunneltest.Start(t)
	conn, err := server.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	server.Block()
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
	if _, err := tunnel.Handshake(ctx, conn, server.Credentials); !errors.Is(err, reason) {
		t.Errorf("Handshake = %v, want the context's cause", err)
	}
}
