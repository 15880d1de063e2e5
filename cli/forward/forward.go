// Package forward leads ports of the laptop into the pod, and ports of the pod
// to the laptop. Its listeners stay while the connection to the pod comes and
// goes: who connects meanwhile waits for it to be back.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"okteto/cli/tunnel"
)

// connectWait is how long a connection waits for a way into the pod, and for its
// destination to answer.
const connectWait = 30 * time.Second

// Localhost as the bind address means both loopback addresses.
const Localhost = "localhost"

// Local is a port of the laptop that leads to a port as the pod sees it.
type Local struct {
	// Bind is the laptop's address; "" and Localhost are both loopbacks.
	Bind string
	// Port on the laptop; 0 takes a free one.
	Port int
	// Host that the pod connects to; "" is the pod itself.
	Host       string
	RemotePort int
}

// String is "8080 -> 80" or "5432 -> postgres:5432".
func (l Local) String() string {
	if l.Host == "" {
		return fmt.Sprintf("%d -> %d", l.Port, l.RemotePort)
	}
	return fmt.Sprintf("%d -> %s", l.Port, net.JoinHostPort(l.Host, strconv.Itoa(l.RemotePort)))
}

// Reverse is a port of the pod's loopback that leads to a port of the laptop.
type Reverse struct {
	RemotePort, LocalPort int
}

// String is "9000 <- 9001".
func (r Reverse) String() string { return fmt.Sprintf("%d <- %d", r.LocalPort, r.RemotePort) }

// Connect returns the SSH connection to use, and waits until there is one.
type Connect func(context.Context) (*tunnel.Client, error)

// Open opens a connection into the pod; it waits for the way there.
type Open func(context.Context) (net.Conn, error)

// Manager owns listeners and the connections through them.
type Manager struct {
	connect Connect
	log     *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu        sync.Mutex // protects the following
	listeners []net.Listener
	closed    bool
}

// NewManager returns a manager whose forwards go through the connection that
// connect returns.
func NewManager(connect Connect, log *slog.Logger) *Manager {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Manager{connect: connect, log: log, ctx: ctx, cancel: cancel}
}

// Listen begins a forward and returns its port. Connections that come before
// there is a way into the pod wait for it. The error is a *PortError when the
// port cannot be had.
func (m *Manager) Listen(l Local) (int, error) {
	host := l.Host
	if host == "" {
		host = "localhost"
	}
	destination := net.JoinHostPort(host, strconv.Itoa(l.RemotePort))
	return m.ListenTo(l.Bind, l.Port, func(ctx context.Context) (net.Conn, error) {
		client, err := m.connect(ctx)
		if err != nil {
			return nil, err
		}
		return client.DialContext(ctx, "tcp", destination)
	})
}

// ListenTo is Listen with a way of its own to where it leads.
func (m *Manager) ListenTo(bind string, port int, open Open) (int, error) {
	listeners, err := listen(m.ctx, bind, port)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, errors.Join(net.ErrClosed, closeAll(listeners))
	}
	m.listeners = append(m.listeners, listeners...)
	f := &forwarding{open: open, log: m.log.With("addr", listeners[0].Addr().String())}
	for _, listener := range listeners {
		m.group.Go(func() { m.accept(listener, f) })
	}
	return listeners[0].Addr().(*net.TCPAddr).Port, nil
}

// Close ends all forwards and waits for them.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	listeners := m.listeners
	m.listeners = nil
	m.mu.Unlock()
	m.cancel()
	err := closeAll(listeners)
	m.group.Wait()
	return err
}

func (m *Manager) accept(listener net.Listener, f *forwarding) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if m.ctx.Err() != nil {
				return
			}
			// Out of file descriptors, or a client that went away again.
			f.log.Warn("cannot accept a connection", "err", err)
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		m.group.Go(func() { m.serve(conn, f) })
	}
}

// forwarding is one forward as its connections see it.
type forwarding struct {
	open Open
	log  *slog.Logger
	// failing is set while connections fail, so that a client that tries in a
	// loop is logged once.
	failing atomic.Bool
}

func (m *Manager) serve(from net.Conn, f *forwarding) {
	ctx, cancel := context.WithTimeout(m.ctx, connectWait)
	to, err := f.open(ctx)
	cancel()
	if err != nil {
		level := slog.LevelWarn
		if f.failing.Swap(true) {
			level = slog.LevelDebug
		}
		f.log.Log(m.ctx, level, "cannot forward a connection", "err", err)
		abort(from)
		return
	}
	f.failing.Store(false)
	Pipe(m.ctx, from, to)
}

// listen opens the listeners of one forward. On localhost both loopbacks have
// the same port, and a machine without IPv6 has one.
func listen(ctx context.Context, bind string, port int) ([]net.Listener, error) {
	var config net.ListenConfig
	if bind != "" && bind != Localhost {
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
		if err != nil {
			return nil, portError(bind, port, err)
		}
		return []net.Listener{listener}, nil
	}
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, portError("127.0.0.1", port, err)
	}
	listeners := []net.Listener{four}
	actual := four.Addr().(*net.TCPAddr).Port
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(actual)))
	switch {
	case err == nil:
		listeners = append(listeners, six)
	case port != 0 && isInUse(err):
		// A browser tries ::1 first and would talk to somebody else.
		return nil, errors.Join(portError("::1", port, err), four.Close())
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}
