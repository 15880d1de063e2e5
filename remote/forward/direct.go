package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Channel types of local forwards.
const (
	DirectTCP    = "direct-tcpip"
	DirectStream = "direct-streamlocal@openssh.com"
)

// directTCP is RFC 4254 section 7.2.
type directTCP struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// directStream is OpenSSH PROTOCOL section 2.4.
type directStream struct {
	Path      string
	Reserved0 string
	Reserved1 uint32
}

// Open handles a direct-tcpip or direct-streamlocal channel until it ends. A
// refusal comes at once; a target that does not answer blocks nobody else.
func (c *Conn) Open(nc ssh.NewChannel) {
	defer c.contain()
	targets, err := c.targets(nc)
	if err != nil {
		c.refuse(nc, ssh.ConnectionFailed, err)
		return
	}
	if !c.acquire() {
		c.refuse(nc, ssh.ResourceShortage, fmt.Errorf("more than %d forwarded connections", c.opts.MaxChannels))
		return
	}
	defer c.release()
	c.wg.Add(1)
	defer c.wg.Done()
	conn, err := c.dial(targets)
	if err != nil {
		c.refuse(nc, ssh.ConnectionFailed, err)
		return
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	c.Carry(nc.ChannelType(), conn, ch, reqs)
}

func (c *Conn) refuse(nc ssh.NewChannel, reason ssh.RejectionReason, err error) {
	c.opts.Metrics.failures.WithLabelValues(nc.ChannelType()).Inc()
	c.log.Debug("forward refused", "kind", nc.ChannelType(), "err", err)
	_ = nc.Reject(reason, err.Error())
}

// target is a network and an address to dial.
type target struct{ network, address string }

func (c *Conn) targets(nc ssh.NewChannel) ([]target, error) {
	if nc.ChannelType() == DirectStream {
		var msg directStream
		if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil {
			return nil, errMalformed
		}
		path, err := c.socketPath(msg.Path)
		return []target{{"unix", path}}, err
	}
	var msg directTCP
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil {
		return nil, errMalformed
	}
	return tcpTargets(msg.Host, msg.Port)
}

var errMalformed = errors.New("malformed request")

// tcpTargets resolves what clients mean by a destination. The original CLI
// asks for 0.0.0.0 and means the pod's loopback; development servers listen on
// 127.0.0.1 or only on ::1, so both are tried.
func tcpTargets(host string, port uint32) ([]target, error) {
	if port == 0 || port > 65535 {
		return nil, fmt.Errorf("port %d is out of range", port)
	}
	p := strconv.Itoa(int(port))
	switch strings.ToLower(strings.TrimSuffix(host, ".")) {
	case "", "*", "0.0.0.0", "::", "[::]", "localhost":
		return []target{{"tcp", net.JoinHostPort("127.0.0.1", p)}, {"tcp", net.JoinHostPort("::1", p)}}, nil
	}
	return []target{{"tcp", net.JoinHostPort(strings.Trim(host, "[]"), p)}}, nil
}

// maxSocketPath is what sockaddr_un holds.
const maxSocketPath = 107

func (c *Conn) socketPath(path string) (string, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return "", errMalformed
	}
	if !filepath.IsAbs(path) && c.opts.WorkDir != "" {
		path = filepath.Join(c.opts.WorkDir, path)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("socket path is longer than %d bytes", maxSocketPath)
	}
	return path, nil
}

// dial tries the targets in order.
func (c *Conn) dial(targets []target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
	defer cancel()
	var d net.Dialer
	var first error
	for _, t := range targets {
		conn, err := d.DialContext(ctx, t.network, t.address)
		if err == nil {
			return conn, nil
		}
		if first == nil || errors.Is(first, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			first = err
		}
	}
	return nil, first
}
