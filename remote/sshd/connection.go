package sshd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/remote/agent"
	"okteto/remote/forward"
	"okteto/remote/session"
)

// connection is an SSH connection that has logged in.
type connection struct {
	srv      *Server
	id, key  string
	wire     *wire
	ssh      *ssh.ServerConn
	log      *slog.Logger
	forwards *forward.Conn
	agent    *agent.Forward
	lost     chan struct{}
	sessions atomic.Int64
	seal     chan struct{} // closed by no-more-sessions@openssh.com
	sealOnce sync.Once
	wg       sync.WaitGroup
}

// newConnection registers the connection; nil when the server is closing.
func (s *Server) newConnection(id, key string, w *wire, conn *ssh.ServerConn, log *slog.Logger) *connection {
	c := &connection{srv: s, id: id, key: key, wire: w, ssh: conn, log: log, lost: make(chan struct{}), seal: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil
	}
	c.forwards = forward.New(s.forwarding, conn, id, w.broken.Load, s.forwards)
	c.agent = s.agents.NewForward(conn, c.carryAgent)
	s.conns[c] = struct{}{}
	s.metrics.active.Inc()
	return c
}

func (c *connection) close() { _ = c.ssh.Close() }

// serve handles the connection's channels and requests until it ends.
func (c *connection) serve(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(context.Background())
	c.wg.Add(3)
	go c.guard(func() { c.keepalive(ctx) })
	go c.guard(func() { c.requests(reqs) })
	go c.guard(func() {
		err := c.ssh.Wait()
		if err != nil && !errors.Is(err, io.EOF) {
			c.log.Debug("connection lost", "err", err)
		}
		close(c.lost)
	})
	c.announceHostKey()
	c.channels(ctx, chans)
	cancel()
	_ = c.ssh.Close()
	c.agent.Close()
	c.forwards.Close()
	c.wg.Wait()
	c.srv.mu.Lock()
	delete(c.srv.conns, c)
	c.srv.mu.Unlock()
	m := c.srv.metrics
	m.active.Dec()
	m.bytes.WithLabelValues("in").Add(float64(c.wire.in.Load()))
	m.bytes.WithLabelValues("out").Add(float64(c.wire.out.Load()))
}

// channels starts the handlers of new channels until the connection ends. A
// request for no more sessions takes effect here, after the channels that were
// asked for before it: the library delivers the two in separate queues.
func (c *connection) channels(ctx context.Context, chans <-chan ssh.NewChannel) {
	sealed, seal := false, c.seal
	start := func(nc ssh.NewChannel) {
		if sealed && nc.ChannelType() == "session" {
			_ = nc.Reject(ssh.Prohibited, "the client has asked for no more sessions")
			return
		}
		c.wg.Add(1)
		go c.guard(func() { c.open(ctx, nc) })
	}
	for {
		select {
		case nc, ok := <-chans:
			if !ok {
				return
			}
			start(nc)
		case <-seal:
			for range len(chans) {
				if nc, ok := <-chans; ok {
					start(nc)
				}
			}
			sealed, seal = true, nil
		}
	}
}

// guard runs f; a panic in it must not end the other connections.
func (c *connection) guard(f func()) {
	defer c.wg.Done()
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("handler failed", "err", r)
		}
	}()
	f()
}

func (c *connection) open(ctx context.Context, nc ssh.NewChannel) {
	switch nc.ChannelType() {
	case "session":
		c.openSession(ctx, nc)
	case forward.DirectTCP, forward.DirectStream:
		c.forwards.Open(nc)
	default:
		c.log.Info("channel refused", "kind", printable(nc.ChannelType()))
		_ = nc.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

func (c *connection) openSession(ctx context.Context, nc ssh.NewChannel) {
	if c.sessions.Add(1) > int64(c.srv.opts.MaxSessions) {
		c.sessions.Add(-1)
		_ = nc.Reject(ssh.ResourceShortage, "too many sessions on this connection")
		return
	}
	defer c.sessions.Add(-1)
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	c.srv.sessions.Serve(ctx, session.Client{
		ID: c.id, Key: c.key,
		Remote: c.wire.RemoteAddr(), Local: c.wire.LocalAddr(),
		Lost: c.lost, Agent: c.agent.Socket, StableAgent: c.srv.agents.Stable(),
	}, ch, reqs)
}

// requests answers global requests; all that want a reply get one (RFC 4254
// section 4), or the client would hang.
func (c *connection) requests(reqs <-chan *ssh.Request) {
	for req := range reqs {
		ok, payload := c.request(req)
		if req.WantReply {
			_ = req.Reply(ok, payload)
		}
	}
}

func (c *connection) request(req *ssh.Request) (bool, []byte) {
	switch req.Type {
	case contract.PingRequest, contract.KeepaliveRequest, "keepalive@openssh.com":
		return true, nil
	case "no-more-sessions@openssh.com":
		c.sealOnce.Do(func() { close(c.seal) })
		return true, nil
	case contract.TypedRequest:
		return c.srv.sessions.Typed(session.Client{ID: c.id, Key: c.key}, req.Payload)
	case proveRequest:
		proofs, err := proveHostKeys(c.srv.hostKey, c.ssh.Conn, req.Payload)
		if err != nil {
			c.log.Debug("host key not proven", "err", err)
		}
		return err == nil, proofs
	}
	ok, payload, known := c.forwards.Request(req)
	if !known {
		c.log.Debug("unknown request", "request", printable(req.Type))
	}
	return ok, payload
}

// keepalive drops the connection when the client has not answered, nor sent
// anything, for KeepaliveInterval times KeepaliveMisses.
func (c *connection) keepalive(ctx context.Context) {
	interval := c.srv.opts.KeepaliveInterval
	t := time.NewTicker(interval)
	defer t.Stop()
	answers := make(chan struct{}, 1)
	waiting, misses, seen := false, 0, c.wire.in.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-answers:
			waiting, misses = false, 0
			continue
		case <-t.C:
		}
		if now := c.wire.in.Load(); now != seen {
			seen, misses = now, 0
			continue
		}
		if misses >= c.srv.opts.KeepaliveMisses {
			c.srv.metrics.dead.Inc()
			c.log.Warn("client no longer answers, dropping the connection", "seconds", int(interval.Seconds())*misses)
			_ = c.wire.Conn.Close()
			return
		}
		misses++
		if !waiting {
			waiting = true
			c.wg.Add(1)
			go c.guard(func() {
				// Also a refusal is an answer.
				if _, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					answers <- struct{}{}
				}
			})
		}
	}
}

func (c *connection) carryAgent(conn net.Conn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	c.forwards.Carry(forward.Agent, conn, ch, reqs)
}
