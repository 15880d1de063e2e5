package tunnel

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
)

// handshakeLimit ends an SSH handshake that does not get on.
const handshakeLimit = 15 * time.Second

// Credentials are how the two ends of an SSH connection know each other.
type Credentials struct {
	// Signer is the developer's key.
	Signer ssh.Signer
	// HostKey is the only key that the server may have.
	HostKey ssh.PublicKey
}

func (c Credentials) config() *ssh.ClientConfig {
	config := &ssh.ClientConfig{
		// The server in the pod has one user, whatever the name; the original
		// CLI sends none (pkg/ssh/ssh.go).
		User:              "",
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(c.Signer)},
		HostKeyCallback:   ssh.FixedHostKey(c.HostKey),
		HostKeyAlgorithms: []string{c.HostKey.Type()},
		ClientVersion:     "SSH-2.0-okteto_" + contract.Version,
	}
	return config
}

// Handshake makes an SSH connection over conn, which it owns from then on.
func Handshake(ctx context.Context, conn net.Conn, c Credentials) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	counted := &countingConn{Conn: conn}
	inner, channels, requests, err := ssh.NewClientConn(counted, "okteto", c.config())
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("SSH to the pod: %w", err)
	}
	client := &Client{Client: ssh.NewClient(inner, channels, requests), conn: counted, done: make(chan struct{})}
	go func() {
		client.err = client.Client.Wait()
		close(client.done)
	}()
	return client, nil
}

// Client is an SSH connection.
type Client struct {
	*ssh.Client
	conn *countingConn
	done chan struct{}
	err  error // set before done is closed

	mu     sync.Mutex // protects the following
	setups map[string]error
}

// Once runs setup at the first call with this name on this connection, and
// returns its error then and later: some things, such as the handler of a channel
// type, a connection can have only once.
func (c *Client) Once(name string, setup func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err, done := c.setups[name]
	if !done {
		err = setup()
		if c.setups == nil {
			c.setups = make(map[string]error)
		}
		c.setups[name] = err
	}
	return err
}

// Done is closed when the connection has ended; Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, nil before.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the connection at once, also where a polite end would wait for a
// peer that is gone.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// ask sends a request that every server answers. The channel gets one value.
func (c *Client) ask() <-chan error {
	answered := make(chan error, 1)
	go func() {
		_, _, err := c.SendRequest(contract.KeepaliveRequest, true, nil)
		answered <- err
	}()
	return answered
}

// received counts the bytes that came from the server.
func (c *Client) received() uint64 { return c.conn.received.Load() }

type countingConn struct {
	net.Conn
	received atomic.Uint64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(uint64(n))
	return n, err
}
