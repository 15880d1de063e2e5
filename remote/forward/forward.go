// Package forward carries TCP and unix-socket connections over SSH channels,
// in both directions (RFC 4254 section 7, OpenSSH PROTOCOL section 2.4).
//
// Each direction of a carried connection ends by itself: an EOF on one side
// becomes a half-close on the other, and the opposite direction goes on. A
// connection that breaks is passed on as a break, not as an end.
package forward

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options of all forwards of a server.
type Options struct {
	// MaxChannels bounds the carried connections of one SSH connection,
	// MaxListeners its remote forwards.
	MaxChannels, MaxListeners int
	// DialTimeout bounds the connection to a target.
	DialTimeout time.Duration
	// LoopbackOnly makes remote forwards listen on loopback whatever the
	// client asks for.
	LoopbackOnly bool
	// WorkDir is what relative socket paths start from.
	WorkDir string

	Log     *slog.Logger
	Metrics *Metrics
}

// Conn holds the forwards of one SSH connection.
type Conn struct {
	opts   Options
	ssh    ssh.Conn
	log    *slog.Logger
	broken func() bool

	server context.Context
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	wg     sync.WaitGroup

	mu        sync.Mutex // protects the following
	closed    bool
	listeners map[bindKey]*listener
}

// New prepares the forwards of conn. broken tells whether its transport
// has failed. The end of server is the end of data that has not reached its target.
func New(server context.Context, conn ssh.Conn, id string, broken func() bool, opts Options) *Conn {
	ctx, cancel := context.WithCancel(server)
	return &Conn{
		opts: opts, ssh: conn, broken: broken, server: server, ctx: ctx, cancel: cancel,
		log:       opts.Log.With("conn", id),
		slots:     make(chan struct{}, opts.MaxChannels),
		listeners: make(map[bindKey]*listener),
	}
}

// Close ends all listeners and dials and waits for the carried connections,
// which end by themselves once the SSH connection has.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.listeners
	c.listeners = make(map[bindKey]*listener)
	c.mu.Unlock()
	for _, l := range all {
		l.close()
	}
	c.cancel()
	c.wg.Wait()
}

// acquire takes a slot for one carried connection.
func (c *Conn) acquire() bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *Conn) release() { <-c.slots }

// Carry copies both ways between conn and ch until both directions have ended,
// then closes both. kind is the metrics' label.
func (c *Conn) Carry(kind string, conn net.Conn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	m := c.opts.Metrics
	active := m.active.WithLabelValues(kind)
	active.Inc()
	defer active.Dec()
	m.forwards.WithLabelValues(kind).Inc()
	in, out := m.bytes.WithLabelValues("in", kind), m.bytes.WithLabelValues("out", kind)
	x := &carry{
		conn: halves(conn), ch: ch, broken: c.broken,
		in:  func(n int) { in.Add(float64(n)) },
		out: func(n int) { out.Add(float64(n)) },
	}
	stop := context.AfterFunc(c.server, func() { abort(conn) })
	defer stop()
	x.run(reqs)
}

func halves(conn net.Conn) halfCloser {
	if hc, ok := conn.(halfCloser); ok {
		return hc
	}
	return fullCloser{conn}
}

// fullCloser closes all where half is not possible.
type fullCloser struct{ net.Conn }

func (c fullCloser) CloseWrite() error { return c.Close() }

// contain keeps a panic of one forward from ending the other connections.
func (c *Conn) contain() {
	if r := recover(); r != nil {
		c.log.Error("forward failed", "err", r)
	}
}
