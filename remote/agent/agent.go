// Package agent forwards SSH agents (OpenSSH PROTOCOL.agent): programs in the
// pod connect to a unix socket, each connection becomes an
// auth-agent@openssh.com channel to the client.
//
// Each SSH connection has at most one socket, in a private directory that
// lives as long as the connection. In addition one stable path always leads to
// the newest live connection with an agent, so that what outlives a connection
// (tmux, editor servers, persistent terminals) finds the agent after a
// reconnect.
package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// channelType is opened for each connection to the agent socket.
const channelType = "auth-agent@openssh.com"

// Directory keeps the agent sockets of a server.
type Directory struct {
	stable string
	bases  []string
	log    *slog.Logger

	mu   sync.Mutex // protects the following
	live []*Forward // oldest first
}

// NewDirectory returns a directory whose stable path is stable ("" for none)
// and whose sockets are made below the first of bases that is writable.
func NewDirectory(stable string, bases []string, log *slog.Logger) *Directory {
	d := &Directory{stable: stable, bases: bases, log: log}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link() // removes what a killed server has left
	return d
}

// Stable is the path that leads to the newest live agent.
func (d *Directory) Stable() string { return d.stable }

// link points the stable path at the newest live socket. The caller holds mu.
func (d *Directory) link() {
	if d.stable == "" {
		return
	}
	if len(d.live) == 0 {
		if err := os.Remove(d.stable); err != nil && !errors.Is(err, os.ErrNotExist) {
			d.log.Warn("stale agent link cannot be removed", "path", d.stable, "err", err)
		}
		return
	}
	// A new link moved over the old one: there is no moment without.
	next := d.stable + ".new"
	_ = os.Remove(next)
	err := os.Symlink(d.live[len(d.live)-1].socket, next)
	if err == nil {
		err = os.Rename(next, d.stable)
	}
	if err != nil {
		d.log.Warn("agent link cannot be made; sessions have their own socket", "path", d.stable, "err", err)
	}
}

// Opener opens channels to the client; ssh.Conn is one.
type Opener interface {
	OpenChannel(name string, data []byte) (ssh.Channel, <-chan *ssh.Request, error)
}

// Forward is the agent socket of one SSH connection.
type Forward struct {
	dir    *Directory
	opener Opener
	carry  func(net.Conn, ssh.Channel, <-chan *ssh.Request)

	mu       sync.Mutex // protects the following
	socket   string
	listener net.Listener
	closed   bool
	slots    chan struct{}
	wg       sync.WaitGroup
}

// maxConns bounds simultaneous uses of one agent.
const maxConns = 128

// NewForward prepares agent forwarding for a connection; the socket is made by
// the first call to Socket. carry copies both ways until both ends are done
// and closes both.
func (d *Directory) NewForward(opener Opener, carry func(net.Conn, ssh.Channel, <-chan *ssh.Request)) *Forward {
	return &Forward{dir: d, opener: opener, carry: carry, slots: make(chan struct{}, maxConns)}
}

// Socket returns the path of the agent socket.
func (f *Forward) Socket() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return "", net.ErrClosed
	}
	if f.listener != nil {
		return f.socket, nil
	}
	var errs []error
	for _, base := range f.dir.bases {
		if err := f.listen(base); err != nil {
			errs = append(errs, err)
			continue
		}
		f.wg.Add(1)
		go f.serve()
		f.dir.add(f)
		return f.socket, nil
	}
	return "", fmt.Errorf("make agent socket: %w", errors.Join(errs...))
}

func (f *Forward) listen(base string) error {
	dir, err := os.MkdirTemp(base, "okteto-agent-") // mode 0700
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	_ = os.Chmod(socket, 0o600)
	f.socket, f.listener = socket, l
	return nil
}

func (f *Forward) serve() {
	defer f.wg.Done()
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		select {
		case f.slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		f.wg.Add(1)
		go func() {
			defer f.wg.Done()
			defer func() { <-f.slots }()
			f.connect(conn)
		}()
	}
}

func (f *Forward) connect(conn net.Conn) {
	ch, reqs, err := f.opener.OpenChannel(channelType, nil)
	if err != nil {
		_ = conn.Close()
		return
	}
	f.carry(conn, ch, reqs)
}

// Close ends agent forwarding, removes the socket, and waits for uses in
// progress: they end with the connection, which its owner closes first.
func (f *Forward) Close() {
	f.mu.Lock()
	f.closed = true
	l, socket := f.listener, f.socket
	f.mu.Unlock()
	if l == nil {
		return
	}
	f.dir.remove(f)
	_ = l.Close()
	_ = os.RemoveAll(filepath.Dir(socket))
	f.wg.Wait()
}

func (d *Directory) add(f *Forward) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = append(d.live, f)
	d.link()
}

func (d *Directory) remove(f *Forward) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = slices.DeleteFunc(d.live, func(o *Forward) bool { return o == f })
	d.link()
}
