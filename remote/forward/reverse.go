package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Channel types of remote forwards.
const (
	ForwardedTCP    = "forwarded-tcpip"
	ForwardedStream = "forwarded-streamlocal@openssh.com"
)

// bindKey names a remote forward of one connection as its client does: by what
// it asked for and the port it got.
type bindKey struct {
	host string // or the path of a socket
	port uint32 // 0 for sockets
}

// listener is one remote forward; it may have two sockets (127.0.0.1 and ::1).
type listener struct {
	kind    string
	sockets []net.Listener
	cleanup func()
	payload func(net.Conn) []byte
	wg      sync.WaitGroup
	gauge   func(float64)
}

func (l *listener) close() {
	for _, s := range l.sockets {
		_ = s.Close()
	}
	if l.cleanup != nil {
		l.cleanup()
	}
	l.wg.Wait()
	l.gauge(-1)
}

// bindRequest is RFC 4254 section 7.1.
type bindRequest struct {
	Host string
	Port uint32
}

// Request handles the global requests of forwarding. known is false for
// requests of other kinds.
func (c *Conn) Request(req *ssh.Request) (ok bool, payload []byte, known bool) {
	var err error
	switch req.Type {
	case "tcpip-forward":
		payload, err = c.listenTCP(req.Payload)
	case "cancel-tcpip-forward":
		var msg bindRequest
		if msg, err = parseBind(req.Payload); err == nil {
			err = c.stop(bindKey{msg.Host, msg.Port})
		}
	case "streamlocal-forward@openssh.com":
		err = c.listenStream(req.Payload)
	case "cancel-streamlocal-forward@openssh.com":
		var msg struct{ Path string }
		if err = ssh.Unmarshal(req.Payload, &msg); err == nil {
			err = c.stop(bindKey{host: msg.Path})
		}
	default:
		return false, nil, false
	}
	if err != nil {
		c.log.Info("remote forward refused", "request", req.Type, "err", err)
	}
	return err == nil, payload, true
}

func parseBind(payload []byte) (bindRequest, error) {
	var msg bindRequest
	if err := ssh.Unmarshal(payload, &msg); err != nil || msg.Port > 65535 {
		return bindRequest{}, errMalformed
	}
	return msg, nil
}

func (c *Conn) listenTCP(payload []byte) ([]byte, error) {
	msg, err := parseBind(payload)
	if err != nil {
		return nil, c.failed(ForwardedTCP, err)
	}
	sockets, port, err := c.listenOn(c.binds(msg.Host), int(msg.Port))
	if err != nil {
		return nil, c.failed(ForwardedTCP, err)
	}
	l := &listener{kind: ForwardedTCP, sockets: sockets}
	l.payload = func(conn net.Conn) []byte {
		host, p, _ := net.SplitHostPort(conn.RemoteAddr().String())
		origin, _ := strconv.Atoi(p)
		return ssh.Marshal(directTCP{msg.Host, uint32(port), host, uint32(origin)})
	}
	if err := c.start(bindKey{msg.Host, uint32(port)}, l); err != nil {
		return nil, err
	}
	c.log.Info("remote forward listens", "kind", ForwardedTCP, "address", sockets[0].Addr().String())
	if msg.Port == 0 {
		return ssh.Marshal(struct{ Port uint32 }{uint32(port)}), nil
	}
	return nil, nil
}

func (c *Conn) failed(kind string, err error) error {
	c.opts.Metrics.failures.WithLabelValues(kind).Inc()
	return err
}

// bind is a network and host to listen on; optional ones may fail when the
// machine has no such network.
type bind struct {
	network, host string
	optional      bool
}

// binds says where a requested address listens (RFC 4254 section 7.1).
func (c *Conn) binds(host string) []bind {
	loopback := []bind{{"tcp4", "127.0.0.1", false}, {"tcp6", "::1", true}}
	if host == "localhost" || c.opts.LoopbackOnly {
		return loopback
	}
	switch host {
	case "", "*":
		return []bind{{"tcp4", "0.0.0.0", false}, {"tcp6", "::", true}}
	case "0.0.0.0":
		return []bind{{"tcp4", host, false}}
	case "::":
		return []bind{{"tcp6", host, false}}
	}
	return []bind{{"tcp", host, false}}
}

// lookupTime bounds the look-up of a name to listen on.
const lookupTime = 3 * time.Second

// listenOn opens all binds on one port. With port 0 the first bind's choice
// may be taken on the second: then another one is tried.
func (c *Conn) listenOn(binds []bind, port int) (sockets []net.Listener, got int, err error) {
	// Names are looked up, while other requests of the client wait for their turn.
	ctx, cancel := context.WithTimeout(c.ctx, lookupTime)
	defer cancel()
	tries := 1
	if port == 0 {
		tries = 16
	}
	for range tries {
		if sockets, got, err = listenOnce(ctx, binds, port); err == nil {
			return sockets, got, nil
		}
	}
	return nil, 0, err
}

func listenOnce(ctx context.Context, binds []bind, port int) ([]net.Listener, int, error) {
	var sockets []net.Listener
	var config net.ListenConfig
	for _, b := range binds {
		l, err := config.Listen(ctx, b.network, net.JoinHostPort(b.host, strconv.Itoa(port)))
		if err != nil {
			if b.optional && noSuchNetwork(err) {
				continue
			}
			for _, s := range sockets {
				_ = s.Close()
			}
			return nil, 0, err
		}
		sockets = append(sockets, l)
		port = l.Addr().(*net.TCPAddr).Port
	}
	return sockets, port, nil
}

// start registers the forward and accepts on it. On an error it closes it.
func (c *Conn) start(key bindKey, l *listener) error {
	l.gauge = c.opts.Metrics.listeners.WithLabelValues(l.kind).Add
	l.gauge(1)
	c.mu.Lock()
	var err error
	switch _, dup := c.listeners[key]; {
	case c.closed:
		err = net.ErrClosed
	case dup:
		err = errors.New("this forward exists already")
	case len(c.listeners) >= c.opts.MaxListeners:
		err = fmt.Errorf("more than %d remote forwards", c.opts.MaxListeners)
	default:
		c.listeners[key] = l
	}
	c.mu.Unlock()
	if err != nil {
		l.close()
		return c.failed(l.kind, err)
	}
	for _, s := range l.sockets {
		l.wg.Add(1)
		go c.accept(l, s)
	}
	return nil
}

func (c *Conn) stop(key bindKey) error {
	c.mu.Lock()
	l, ok := c.listeners[key]
	delete(c.listeners, key)
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("no remote forward on %q port %d", key.host, key.port)
	}
	l.close()
	return nil
}

func (c *Conn) accept(l *listener, s net.Listener) {
	defer l.wg.Done()
	for {
		conn, err := s.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !pause(c.ctx, err) {
				return
			}
			continue
		}
		if !c.acquire() {
			c.opts.Metrics.failures.WithLabelValues(l.kind).Inc()
			_ = conn.Close()
			continue
		}
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			defer c.release()
			defer c.contain()
			c.offer(l, conn)
		}()
	}
}

// offer hands an accepted connection to the client.
func (c *Conn) offer(l *listener, conn net.Conn) {
	ch, reqs, err := c.ssh.OpenChannel(l.kind, l.payload(conn))
	if err != nil {
		c.opts.Metrics.failures.WithLabelValues(l.kind).Inc()
		abort(conn) // as if nobody listened
		return
	}
	c.Carry(l.kind, conn, ch, reqs)
}
