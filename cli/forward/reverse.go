package forward

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"okteto/cli/tunnel"
)

// bindRetry is how long a port of the pod that is taken is left alone.
const bindRetry = 2 * time.Second

// Reverse begins a reverse forward. It is set up again on each new connection to
// the pod. report is told once per connection why it cannot be had, and nil when
// it works.
func (m *Manager) Reverse(r Reverse, report func(error)) {
	m.group.Go(func() {
		for m.ctx.Err() == nil {
			client, err := m.connect(m.ctx)
			if err != nil {
				return // m is closed
			}
			m.reverseOn(client, r, report)
		}
	})
}

// reverseOn serves a reverse forward until its connection ends.
func (m *Manager) reverseOn(client *tunnel.Client, r Reverse, report func(error)) {
	reported := false
	for {
		// "localhost" lets the server bind both loopbacks.
		listener, err := client.Listen("tcp", net.JoinHostPort("localhost", strconv.Itoa(r.RemotePort)))
		if err == nil {
			report(nil)
			m.acceptReverse(client, listener, r)
			return
		}
		if client.Err() == nil && !reported {
			reported = true
			report(fmt.Errorf("listen on port %d of the pod: %w", r.RemotePort, err))
		}
		select {
		case <-m.ctx.Done():
			return
		case <-client.Done():
			return
		case <-time.After(bindRetry):
		}
	}
}

func (m *Manager) acceptReverse(client *tunnel.Client, listener net.Listener, r Reverse) {
	stop := context.AfterFunc(m.ctx, func() { _ = listener.Close() })
	defer stop()
	f := &forwarding{
		open: func(ctx context.Context) (net.Conn, error) { return dialLoopback(ctx, r.LocalPort) },
		log:  m.log.With("reverse", r.RemotePort),
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		m.group.Go(func() { m.serve(conn, f) })
	}
	select { // the listener ends with its connection, or with m
	case <-m.ctx.Done():
	case <-client.Done():
	}
}

// dialLoopback connects to a server of the laptop, which may listen on either
// loopback.
func dialLoopback(ctx context.Context, port int) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		six, sixErr := dialer.DialContext(ctx, "tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
		if sixErr == nil {
			return six, nil
		}
	}
	return conn, err
}
