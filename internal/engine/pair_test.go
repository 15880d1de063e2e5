package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/tlsutil"

	"okteto/internal/testkit/tree"
)

// pair is two engines in one process that keep two folders equal.
type pair struct {
	t          testing.TB
	near, far  *end // near dials, as the laptop does
	configure  func(near bool, c *Config)
	nearC      tls.Certificate
	farC       tls.Certificate
	farAddress string
}

type end struct {
	*Engine
	dir, home string
	stop      func()
}

const testFolder = "okteto-1"

func newPair(t testing.TB, configure func(near bool, c *Config)) *pair {
	t.Helper()
	p := &pair{t: t, configure: configure, nearC: newTestCertificate(t), farC: newTestCertificate(t)}
	base := t.TempDir()
	p.near = &end{dir: filepath.Join(base, "laptop"), home: filepath.Join(base, "laptop.home")}
	p.far = &end{dir: filepath.Join(base, "pod"), home: filepath.Join(base, "pod.home")}
	for _, dir := range []string{p.near.dir, p.far.dir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func newTestCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	cert, err := tlsutil.NewCertificateInMemory("syncthing", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func deviceOf(c tls.Certificate) string { return protocol.NewDeviceID(c.Certificate[0]).String() }

func (p *pair) config(near bool) Config {
	e, own, other := p.far, p.farC, p.nearC
	if near {
		e, own, other = p.near, p.nearC, p.farC
	}
	c := Config{
		Home: e.home, Certificate: own, Name: "test", Log: testLog(p.t, near),
		Peers: []Peer{{ID: deviceOf(other)}},
		Folders: []Folder{{
			ID: testFolder, Path: e.dir, Marker: ".stignore", MaxConflicts: 10,
			TrashDir: filepath.Join(e.home, "trash"), ConcurrentWrites: 16,
		}},
	}
	if near {
		c.Peers[0].Address = p.farAddress
	} else {
		c.ListenAddress = "127.0.0.1:0"
		if p.farAddress != "" {
			c.ListenAddress = p.farAddress
		}
	}
	if p.configure != nil {
		p.configure(near, &c)
	}
	return c
}

// start runs one end until the test is over or its stop is called.
func (p *pair) start(near bool) {
	p.t.Helper()
	e := p.far
	if near {
		e = p.near
	}
	var engine *Engine
	eventually(p.t, "the port, if somebody has taken it meanwhile", func() bool {
		var err error
		if engine, err = New(p.config(near)); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			p.t.Fatal(err)
		}
		return err == nil
	})
	e.Engine = engine
	if !near {
		p.farAddress = engine.ListenAddress()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Serve(ctx) }()
	stopped := false
	e.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		watchdog := time.AfterFunc(stopPatience, func() {
			stacks := make([]byte, 1<<20)
			p.t.Logf("engine does not stop:\n%s", stacks[:runtime.Stack(stacks, true)])
			p.t.Fail()
		})
		defer watchdog.Stop()
		if err := <-done; err != nil {
			p.t.Errorf("engine ended with: %v", err)
		}
	}
	p.t.Cleanup(e.stop)
}

func (p *pair) startBoth() {
	p.t.Helper()
	p.start(false)
	p.start(true)
	p.settled()
}

// settled waits until both sides know of each other and lack nothing.
func (p *pair) settled() {
	p.t.Helper()
	eventually(p.t, "both sides equal", func() bool {
		for _, e := range []*end{p.near, p.far} {
			s := e.Status()
			if !s.Connected || s.Folders[0].State != "idle" || !s.Folders[0].Here.Done() || !s.Folders[0].There.Done() {
				return false
			}
		}
		return true
	})
}

// stopPatience with an engine that is told to stop.
const stopPatience = 5 * time.Second

// patience of tests; conditions are normally met in milliseconds.
const patience = 60 * time.Second

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("after %v still not: %s", patience, what)
}

func (e *end) path(name string) string { return filepath.Join(e.dir, name) }

func (e *end) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(e.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.path(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (e *end) has(name, content string) bool {
	got, err := os.ReadFile(e.path(name))
	return err == nil && bytes.Equal(got, []byte(content))
}

func (e *end) lacks(name string) bool {
	_, err := os.Lstat(e.path(name))
	return errors.Is(err, os.ErrNotExist)
}

// equalTrees waits until both trees are equal.
func (p *pair) equalTrees() {
	p.t.Helper()
	var diff []string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("differences: %v", diff)
		}
	}()
	eventually(p.t, "equal trees", func() bool {
		var err error
		diff, err = tree.Compare(p.near.dir, p.far.dir)
		return err == nil && len(diff) == 0
	})
}

func TestPairSyncsBothWays(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "before.txt", "before")
	p.startBoth()
	eventually(t, "first file", func() bool { return p.far.has("before.txt", "before") })
	for i, from := range []*end{p.near, p.far} {
		to := []*end{p.far, p.near}[i]
		from.write(t, "a/b/new.txt", "one")
		eventually(t, "new file", func() bool { return to.has("a/b/new.txt", "one") })
		from.write(t, "a/b/new.txt", "two!")
		eventually(t, "changed file", func() bool { return to.has("a/b/new.txt", "two!") })
		if err := os.RemoveAll(from.path("a")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "removed folder", func() bool { return to.lacks("a") })
	}
}

// testLog shows what the engines log when OKTETO_TEST_LOG is set.
func testLog(t testing.TB, near bool) *slog.Logger {
	if os.Getenv("OKTETO_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name(), "near", near)
}
