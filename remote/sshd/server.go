// Package sshd is the SSH server of the dev container: it accepts connections,
// lets in who owns an authorized key, and hands channels and requests to the
// packages session, forward, agent and files.
//
// It is built on golang.org/x/crypto/ssh alone. github.com/gliderlabs/ssh was
// considered and left out: each of its handlers would have to be replaced (see
// the packages above for what they do otherwise), and what remains of it is an
// accept loop that has no handshake timeout, sets a deadline at each read and
// write, and lets everybody in when no key handler is set.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/remote/agent"
	"okteto/remote/files"
	"okteto/remote/forward"
	"okteto/remote/session"
)

// Server is the SSH server.
type Server struct {
	opts       Options
	hostKey    ssh.Signer
	oldHostKey ssh.Signer // for clients that do not know the other; may be nil
	keys       *authorizedKeys
	version    string
	sessions   *session.Server
	forwards   forward.Options
	agents     *agent.Directory
	metrics    *metrics
	registry   *prometheus.Registry
	load       *load

	// The end of forwarding is what forwards of ended connections do not outlive.
	forwarding    context.Context
	endForwarding context.CancelFunc

	wg sync.WaitGroup

	mu      sync.Mutex // protects the following
	waiting []*handshake
	conns   map[*connection]struct{}
	closing bool
}

// New prepares a server. It fails without authorized keys: a server that
// nobody, or everybody, can log in to is a mistake.
func New(opts Options) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:     opts,
		keys:     &authorizedKeys{path: opts.AuthorizedKeys, log: opts.Log},
		registry: prometheus.NewRegistry(),
		load:     newLoad(),
		conns:    make(map[*connection]struct{}),
		// OpenSSH's client sends eow@openssh.com ("I read no more", which ends
		// `ssh host yes | head`) only to servers whose version starts so.
		version: "SSH-2.0-OpenSSH_9.9 okteto-remote_" + versionWord(contract.Version),
	}
	s.forwarding, s.endForwarding = context.WithCancel(context.Background())
	if _, err := s.keys.read(); err != nil {
		return nil, fmt.Errorf("refusing to start without keys that may log in: %w", err)
	}
	var err error
	if s.hostKey, s.oldHostKey, err = loadHostKeys(opts.HostKey); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s.registry)
	s.forwards = forward.Options{
		MaxChannels: opts.MaxForwards, MaxListeners: opts.MaxListeners,
		DialTimeout: opts.DialTimeout, LoopbackOnly: opts.LoopbackForwards,
		WorkDir: opts.WorkDir, Log: opts.Log, Metrics: forward.NewMetrics(s.registry),
	}
	s.agents = agent.NewDirectory(opts.AgentSocket, stateDirs(opts), opts.Log)
	s.sessions = session.New(s.sessionOptions())
	return s, nil
}

func (s *Server) sessionOptions() session.Options {
	o := s.opts
	subsystems := map[string]session.Subsystem{
		"sftp": files.New(files.Options{WorkDir: o.WorkDir, Log: o.Log, Metrics: files.NewMetrics(s.registry)}).Serve,
	}
	for name, serve := range o.Subsystems {
		subsystems[name] = serve
	}
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	return session.Options{
		WorkDir: o.WorkDir, Environ: o.Environ, Busybox: o.Busybox, AppletDirs: appletDirs(o),
		AcceptEnv:  append(session.DefaultAcceptEnv(), o.AcceptEnv...),
		LoginShell: o.LoginShell, Subsystems: subsystems, Self: self,
		Silence:       time.Second,
		TerminalGrace: o.TerminalGrace, MaxTerminals: o.MaxTerminals, TerminalBuffer: o.TerminalBuffer,
		Log: o.Log, Metrics: session.NewMetrics(s.registry),
	}
}

// Serve accepts connections until ctx ends, then drains and returns nil. It
// closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.opts.Log.Info("listening", "address", ln.Addr().String(),
		"hostkey", ssh.FingerprintSHA256(s.hostKey.PublicKey()))
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer ln.Close()
	err := s.accept(ctx, ln)
	s.drain()
	return err
}

func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if conn != nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			if !passing(err) {
				return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
			}
			s.opts.Log.Warn("accept failed, going on", "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.metrics.accepted.Inc()
		h := s.admit(conn)
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.serveConn(h)
		}()
	}
}

// passing errors of accept do not concern the listener itself.
func passing(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS,
		syscall.ENOMEM, syscall.EPERM, syscall.EPROTO, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// drain ends everything: no new logins, sessions hung up and given some time,
// then the connections.
func (s *Server) drain() {
	s.opts.Log.Info("shutting down")
	s.mu.Lock()
	s.closing = true
	for _, h := range s.waiting {
		_ = h.conn.Close()
	}
	conns := make([]*connection, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.DrainTimeout)
	defer cancel()
	s.sessions.Shutdown(ctx)
	for _, c := range conns {
		c.close()
	}
	// What has not reached the target of a forward by then never will.
	defer context.AfterFunc(ctx, s.endForwarding)()
	s.wg.Wait()
}

// Registry holds the server's metrics.
func (s *Server) Registry() *prometheus.Registry { return s.registry }
