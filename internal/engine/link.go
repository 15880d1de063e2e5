package engine

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/syncthing/syncthing/lib/build"
	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/connections"
	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/tlsutil"
)

const (
	// bepProtocol is what the TLS handshake negotiates
	// (https://docs.syncthing.net/specs/bep-v1.html#transport).
	bepProtocol      = "bep/1.0"
	handshakeTimeout = 10 * time.Second
	dialTimeout      = 5 * time.Second
	dialRetryMin     = 25 * time.Millisecond
	dialRetryMax     = time.Second
	// closeGrace bounds the TLS alert on a dead connection.
	closeGrace = 250 * time.Millisecond
)

// errReplaced ends a connection when its device has come back on a new one.
var errReplaced = errors.New("replaced by a newer connection")

// link connects the engine with its peers: it accepts on one address, dials
// each peer that has one, and hands verified connections to the model. It
// stands in for Syncthing's connections.Service.
type link struct {
	cfg     config.Wrapper
	me      protocol.DeviceID
	model   connections.Model
	promote promoter
	pumps   *pumps
	tls     *tls.Config
	keyGen  *protocol.KeyGenerator
	log     *slog.Logger

	onConnect func()
	// beforeUse is called with each connection that is to be given to the model.
	beforeUse func(context.Context)
	listener  net.Listener // nil: only dial

	mu sync.Mutex
	// mu protects the following.
	addresses map[protocol.DeviceID]string
	wake      map[protocol.DeviceID]chan struct{}
	live      map[protocol.DeviceID]*liveConn
	skew      map[protocol.DeviceID]time.Duration
	lastError map[string]error
}

func newLink(c *Config, cfg config.Wrapper, m connections.Model, p *pumps, keyGen *protocol.KeyGenerator) (*link, error) {
	l := &link{
		cfg: cfg, me: cfg.MyID(), model: m, pumps: p, keyGen: keyGen, log: c.Log, onConnect: c.OnConnect,
		addresses: map[protocol.DeviceID]string{},
		wake:      map[protocol.DeviceID]chan struct{}{},
		live:      map[protocol.DeviceID]*liveConn{},
		skew:      map[protocol.DeviceID]time.Duration{},
		lastError: map[string]error{},
	}
	l.tls = tlsutil.SecureDefaultTLS13()
	l.tls.Certificates = []tls.Certificate{c.Certificate}
	l.tls.NextProtos = []string{bepProtocol}
	l.tls.ClientAuth = tls.RequireAnyClientCert
	l.tls.SessionTicketsDisabled = true
	// Device IDs are digests of certificates; verifyPeer compares them.
	l.tls.InsecureSkipVerify = true
	for _, p := range c.Peers {
		id, err := protocol.DeviceIDFromString(p.ID)
		if err != nil {
			return nil, fmt.Errorf("sync peer %q: %w", p.ID, err)
		}
		l.addresses[id] = p.Address
		l.wake[id] = make(chan struct{}, 1)
	}
	if c.ListenAddress != "" {
		var err error
		if l.listener, err = net.Listen("tcp", c.ListenAddress); err != nil {
			return nil, fmt.Errorf("listen for sync peers: %w", err)
		}
	}
	return l, nil
}

// Serve accepts and dials until the context ends.
func (l *link) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if l.listener != nil {
		wg.Go(func() { l.accept(ctx) })
		defer l.close()
	}
	for id := range l.wake {
		wg.Go(func() { l.dialLoop(ctx, id) })
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l *link) close() {
	if l.listener != nil {
		l.listener.Close()
	}
}

func (l *link) accept(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.listener.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("accept sync connection", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(dialRetryMax):
			}
			continue
		}
		wg.Go(func() {
			if _, err := l.greet(ctx, tls.Server(conn, l.tls), protocol.EmptyDeviceID, "tcp-server"); err != nil {
				l.log.Info("sync connection refused", "conn", conn.RemoteAddr().String(), "err", err)
			}
		})
	}
}

// dialLoop keeps a peer that has an address connected: a lost connection is
// dialled again at once, failures back off from 25 ms to a second.
func (l *link) dialLoop(ctx context.Context, id protocol.DeviceID) {
	retry := dialRetryMin
	for {
		l.mu.Lock()
		address, live, wake := l.addresses[id], l.live[id], l.wake[id]
		l.mu.Unlock()
		var closed <-chan struct{}
		var again <-chan time.Time
		switch {
		case live != nil:
			closed = live.Closed()
		case address != "":
			if err := l.dial(ctx, id, address); err == nil {
				retry = dialRetryMin
				continue
			}
			again = time.After(retry)
			retry = min(2*retry, dialRetryMax)
		}
		select {
		case <-ctx.Done():
			return
		case <-closed:
			l.mu.Lock()
			if l.live[id] == live {
				delete(l.live, id)
			}
			l.mu.Unlock()
		case <-wake:
			retry = dialRetryMin
		case <-again:
		}
	}
}

func (l *link) dial(ctx context.Context, id protocol.DeviceID, address string) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		_, err = l.greet(ctx, tls.Client(conn, l.tls), id, "tcp-client")
	}
	l.mu.Lock()
	before := l.lastError[address]
	l.lastError[address] = err
	l.mu.Unlock()
	// The first failure is worth a line, its repetitions are not.
	if err != nil && before == nil && ctx.Err() == nil {
		l.log.Info("sync peer cannot be reached yet", "conn", address, "err", err)
	}
	return err
}

// greet authenticates a new connection and gives it to the model. want is the
// only device allowed, or empty for any configured one.
func (l *link) greet(ctx context.Context, conn *tls.Conn, want protocol.DeviceID, kind string) (protocol.DeviceID, error) {
	stop := context.AfterFunc(ctx, func() { conn.NetConn().Close() })
	id, hello, err := l.handshake(ctx, conn, want)
	if !stop() || err != nil {
		conn.NetConn().Close()
		return id, errors.Join(err, ctx.Err())
	}
	l.replace(id)
	l.beforeUse(ctx)
	device, _ := l.cfg.Device(id)
	info := &connInfo{Conn: conn, kind: kind, since: time.Now().Truncate(time.Second), id: fmt.Sprintf("%x-%x", min(hello.sent, hello.received), max(hello.sent, hello.received))}
	shim := &pumpedModel{Model: l.model}
	raw := protocol.NewConnection(id, conn, conn, info, shim, info, device.Compression.ToProtocol(), l.keyGen)
	pumped := l.pumps.wrap(raw)
	shim.conn = pumped
	l.mu.Lock()
	l.live[id] = &liveConn{pumped, info}
	l.skew[id] = hello.skew
	wake := l.wake[id]
	l.mu.Unlock()
	l.model.AddConnection(pumped, hello.Hello)
	l.promote.now()
	l.onConnect()
	select {
	case wake <- struct{}{}:
	default:
	}
	return id, nil
}

// replace ends the connection that a device had before: it has come back, so
// the old one is dead even if no packet has said so.
func (l *link) replace(id protocol.DeviceID) {
	l.mu.Lock()
	old := l.live[id]
	l.mu.Unlock()
	if old == nil {
		return
	}
	old.drop()
	<-old.Closed()
}

// liveConn is a connection with what carries it.
type liveConn struct {
	protocol.Connection
	info *connInfo
}

// drop ends a connection that has been replaced, without waiting for a peer
// that may be gone.
func (c *liveConn) drop() {
	c.info.NetConn().Close()
	go c.Close(errReplaced)
}

type greeting struct {
	protocol.Hello
	sent, received int64
	// skew is how far the peer's clock is ahead of ours, up to the one-way
	// latency.
	skew time.Duration
}

func (l *link) handshake(ctx context.Context, conn *tls.Conn, want protocol.DeviceID) (protocol.DeviceID, greeting, error) {
	var g greeting
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := conn.HandshakeContext(ctx); err != nil {
		return protocol.EmptyDeviceID, g, fmt.Errorf("TLS handshake: %w", err)
	}
	id, err := l.verifyPeer(conn, want)
	if err != nil {
		return id, g, err
	}
	g.sent = time.Now().UnixNano()
	g.Hello, err = protocol.ExchangeHello(conn, protocol.Hello{
		DeviceName: "okteto", ClientName: "syncthing", ClientVersion: build.Version, NumConnections: 1, Timestamp: g.sent,
	})
	if err != nil {
		return id, g, fmt.Errorf("exchange hello with %s: %w", id.Short(), err)
	}
	g.received = g.Hello.Timestamp
	if g.received != 0 {
		g.skew = time.Until(time.Unix(0, g.received))
	}
	_ = conn.SetDeadline(time.Time{})
	return id, g, l.model.OnHello(id, conn.RemoteAddr(), g.Hello)
}

func (l *link) verifyPeer(conn *tls.Conn, want protocol.DeviceID) (protocol.DeviceID, error) {
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) != 1 {
		return protocol.EmptyDeviceID, fmt.Errorf("peer sent %d certificates, want 1", len(certs))
	}
	id := protocol.NewDeviceID(certs[0].Raw)
	if want != protocol.EmptyDeviceID && subtle.ConstantTimeCompare(id[:], want[:]) != 1 {
		return id, fmt.Errorf("peer is device %s, want %s", id, want)
	}
	l.mu.Lock()
	_, known := l.wake[id]
	l.mu.Unlock()
	if !known {
		return id, fmt.Errorf("device %s is not a peer of this environment", id)
	}
	return id, nil
}

// setAddress points a peer elsewhere and dials at once; what was connected
// before is dropped.
func (l *link) setAddress(id protocol.DeviceID, address string) error {
	l.mu.Lock()
	wake, ok := l.wake[id]
	if !ok {
		l.mu.Unlock()
		return fmt.Errorf("device %s is not a peer", id)
	}
	l.addresses[id] = address
	old := l.live[id]
	l.mu.Unlock()
	if old != nil {
		old.drop()
	}
	select {
	case wake <- struct{}{}:
	default:
	}
	return nil
}

// clockSkew of a peer, as seen when it connected.
func (l *link) clockSkew(id protocol.DeviceID) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew[id]
}
