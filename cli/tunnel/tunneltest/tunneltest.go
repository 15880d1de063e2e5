//go:build linux

// Package tunneltest is the pod's end of a tunnel for tests: the real SSH server,
// behind a way that can be cut, blocked and given back.
package tunneltest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/cli/tunnel"
	"okteto/internal/identity"
	"okteto/remote/sshd"
)

// Server is an SSH server and the way to it.
type Server struct {
	tunnel.Credentials
	// Dir is the server's working directory.
	Dir  string
	addr string

	mu    sync.Mutex // protects the following
	conns map[*held]struct{}
	// blocked is closed when the way is free; nil while it is.
	blocked chan struct{}
	refuse  error
	dials   int
}

// Start runs a server until the test ends.
func Start(t *testing.T) *Server {
	t.Helper()
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	environment, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := environment.HostPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	options := sshd.Defaults()
	options.Address, options.Log = "127.0.0.1", slog.New(slog.DiscardHandler)
	options.AuthorizedKeys, options.HostKey = filepath.Join(dir, "authorized_keys"), filepath.Join(dir, "host_key")
	options.AgentSocket, options.MetricsSocket = filepath.Join(dir, "agent.sock"), ""
	options.WorkDir = filepath.Join(dir, "work")
	for path, content := range map[string][]byte{
		options.AuthorizedKeys: ssh.MarshalAuthorizedKey(signer.PublicKey()), options.HostKey: environment.HostKey,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(options.WorkDir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := sshd.New(options)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	s := &Server{
		Credentials: tunnel.Credentials{Signer: signer, HostKey: hostKey}, Dir: options.WorkDir,
		addr: listener.Addr().String(), conns: make(map[*held]struct{}),
	}
	t.Cleanup(func() {
		s.Cut()
		stop()
		if err := <-done; err != nil {
			t.Errorf("SSH server: %v", err)
		}
	})
	return s
}

// Link connects to the server until the test ends.
func (s *Server) Link(t *testing.T) *tunnel.Link {
	t.Helper()
	return s.LinkWith(t, tunnel.Options{})
}

// LinkWith is Link with options, to which it adds those that lead to the server; a
// way there of the caller's own is kept.
func (s *Server) LinkWith(t *testing.T, o tunnel.Options) *tunnel.Link {
	t.Helper()
	if o.Credentials = s.Credentials; o.Dial == nil {
		o.Dial = s.Dial
	}
	link := tunnel.NewLink(o)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); link.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return link
}

// Addr is the server's address, for a way there that is not Dial.
func (s *Server) Addr() string { return s.addr }

// Dial opens a connection to the server as a tunnel does.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	blocked, refuse := s.blocked, s.refuse
	s.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	if blocked != nil { // a path that swallows packets: also those of later
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	h := &held{Conn: conn, server: s, closed: make(chan struct{})}
	s.mu.Lock()
	s.conns[h] = struct{}{}
	s.mu.Unlock()
	return h, nil
}

// Dials is how often Dial was called.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Cut resets all connections.
func (s *Server) Cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = make(map[*held]struct{})
	s.mu.Unlock()
	for h := range conns {
		_ = h.Conn.(*net.TCPConn).SetLinger(0)
		_ = h.Close()
	}
}

// ErrRefused is what Dial returns after Refuse.
var ErrRefused = errors.New("refused by the test")

// Refuse makes Dial fail at once, until Restore.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = ErrRefused
}

// Block swallows everything, on all connections that there are and will be, until
// Restore.
func (s *Server) Block() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = make(chan struct{})
}

// Restore ends Refuse and Block. What was swallowed stays lost, as after a NAT
// forgot a connection: only new connections work.
func (s *Server) Restore() {
	s.mu.Lock()
	s.refuse, s.blocked = nil, nil
	s.mu.Unlock()
}

func (s *Server) isBlocked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked != nil
}

// held is one connection; once it was blocked it stays so.
type held struct {
	net.Conn
	server *Server
	once   sync.Once
	closed chan struct{}
	mu     sync.Mutex // protects the following
	dead   bool
}

func (h *held) swallows() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = h.dead || h.server.isBlocked()
	return h.dead
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if h.swallows() {
		<-h.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (h *held) Write(p []byte) (int, error) {
	if h.swallows() {
		return len(p), nil // into the kernel's buffer, and no further
	}
	return h.Conn.Write(p)
}

func (h *held) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}
