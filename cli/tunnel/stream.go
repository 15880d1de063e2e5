// Package tunnel is the way from the laptop to the SSH server in the pod: streams
// of the Kubernetes port-forward API as net.Conn, SSH connections over them, and
// a Link that keeps two of those connected whatever happens on the way.
//
// Each SSH connection has a port-forward of its own. Two of them in one would
// share its TCP connection to the API server, where a keystroke would wait
// behind all of the bulk data that is in its buffers.
package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// pingPeriod keeps load balancers on the way from closing an idle connection.
const pingPeriod = 10 * time.Second

// refusalWait is how long a stream that has ended waits for the reason, which
// comes on a stream of its own.
const refusalWait = 200 * time.Millisecond

// Dialer opens streams to a port of a pod.
type Dialer struct {
	config *rest.Config
	client rest.Interface

	mu        sync.Mutex // protects the following
	transport string     // that worked last: "websocket", "spdy"
}

// NewDialer returns a dialer for the cluster of config. client is its core/v1
// REST client.
func NewDialer(config *rest.Config, client rest.Interface) *Dialer {
	return &Dialer{config: config, client: client}
}

// Transport names the protocol of the last connection: "websocket" or "spdy", or
// "" before the first.
func (d *Dialer) Transport() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.transport
}

// RefusedError is the reason that the pod's node gave for ending a stream, such
// as that nothing listens on the port.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "port-forward: " + e.Reason }

// Dial opens a stream to a port of a pod's loopback. It returns at once when the
// stream is open, which says nothing yet about the port: that nothing listens
// there is a *RefusedError of the first Read.
func (d *Dialer) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	u := d.client.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	raw, err := d.connect(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("port-forward to pod %s/%s: %w", namespace, pod, err)
	}
	c, err := openStreamContext(ctx, raw, port)
	if err != nil {
		return nil, fmt.Errorf("port-forward to pod %s/%s: %w", namespace, pod, err)
	}
	return c, nil
}

// openStreamContext is openStream with a context. SPDY waits for the other end to
// accept a stream for half a minute, also on a connection that is closed; who
// waits for it longer than ctx lasts is left behind, and ends by itself.
func openStreamContext(ctx context.Context, raw *rawConn, port int) (net.Conn, error) {
	type outcome struct {
		conn net.Conn
		err  error
	}
	opened := make(chan outcome, 1)
	go func() {
		c, err := openStream(raw, port)
		opened <- outcome{c, err}
	}()
	select {
	case o := <-opened:
		if o.err != nil {
			raw.close()
		}
		return o.conn, o.err
	case <-ctx.Done():
		raw.close()
		return nil, context.Cause(ctx)
	}
}

// rawConn is an upgraded connection. network is the TCP connection, below TLS:
// SPDY and TLS say goodbye when they are closed, and on a path that swallows
// packets would wait for it, so network is closed first.
type rawConn struct {
	network net.Conn
	spdy    httpstream.Connection
}

func (r *rawConn) close() error {
	err := r.network.Close()
	_ = r.spdy.Close() // ends its goroutines; the goodbye has nowhere to go
	return err
}

// connect upgrades a connection to the API server: by WebSocket, which proxies
// understand, and by SPDY where the server or the user's role is too old for it.
func (d *Dialer) connect(ctx context.Context, u *url.URL) (*rawConn, error) {
	if d.Transport() == "spdy" {
		return d.upgradeSPDY(ctx, u)
	}
	raw, err := d.upgradeWebSocket(ctx, u)
	var upgrade *httpstream.UpgradeFailureError
	switch {
	case err == nil:
		d.remember("websocket")
		return raw, nil
	case errors.As(err, &upgrade):
		if apierrors.IsNotFound(upgrade.Cause) || apierrors.IsUnauthorized(upgrade.Cause) {
			return nil, upgrade.Cause
		}
	case !httpstream.IsHTTPSProxyError(err):
		return nil, err
	}
	if raw, err = d.upgradeSPDY(ctx, u); err == nil {
		d.remember("spdy")
	}
	return raw, err
}

func (d *Dialer) remember(transport string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.transport = transport
}

func (d *Dialer) upgradeWebSocket(ctx context.Context, u *url.URL) (*rawConn, error) {
	transport, holder, err := websocket.RoundTripperFor(d.config)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	ws, err := websocket.Negotiate(transport, holder, req, constants.WebsocketsSPDYTunnelingPortForwardV1) // KEP-4006
	if err != nil {
		return nil, err
	}
	return newRawConn(ws.NetConn(), portforward.NewTunnelingConnection("client", ws))
}

func newRawConn(network, carrier net.Conn) (*rawConn, error) {
	if secured, ok := network.(*tls.Conn); ok {
		network = secured.NetConn()
	}
	connection, err := spdy.NewClientConnectionWithPings(carrier, pingPeriod)
	if err != nil {
		_ = network.Close()
		return nil, err
	}
	return &rawConn{network: network, spdy: connection}, nil
}

func (d *Dialer) upgradeSPDY(ctx context.Context, u *url.URL) (*rawConn, error) {
	tlsConfig, err := rest.TLSConfigFor(d.config)
	if err != nil {
		return nil, err
	}
	proxier := http.ProxyFromEnvironment
	if d.config.Proxy != nil {
		proxier = d.config.Proxy
	}
	inner, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: tlsConfig, Proxier: proxier})
	if err != nil {
		return nil, err
	}
	upgrade := &spdyUpgrade{inner: inner}
	transport, err := rest.HTTPWrappersForConfig(d.config, upgrade)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(httpstream.HeaderProtocolVersion, constants.PortForwardV1Name)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer upgrade.conn.Close()
		return nil, statusError(resp)
	}
	return newRawConn(upgrade.conn, upgrade.conn)
}

// spdyUpgrade sends an upgrade request and keeps the connection that it was sent
// on, which the one in k8s.io/streaming keeps for itself.
type spdyUpgrade struct {
	inner *spdy.SpdyRoundTripper
	conn  net.Conn
}

func (s *spdyUpgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	req.Header.Set(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	conn, err := s.inner.Dial(req)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), func() { _ = conn.Close() })
	defer stop()
	// The server says nothing after its answer before it is spoken to, so the
	// reader holds back nothing of the streams.
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.conn = conn
	return resp, nil
}

func statusError(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("upgrade connection: %s", resp.Status)
	}
	if err := decodeStatus(body); err != nil {
		return err
	}
	return fmt.Errorf("upgrade connection: %s: %s", resp.Status, strings.TrimSpace(string(body)))
}

// openStream opens the two streams of one forwarded connection.
func openStream(raw *rawConn, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	errorStream, err := raw.spdy.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open error stream: %w", err)
	}
	_ = errorStream.Close() // nothing is ever sent on it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := raw.spdy.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open data stream: %w", err)
	}
	c := &conn{raw: raw, data: data, refused: make(chan struct{})}
	go c.readReason(errorStream)
	return c, nil
}
