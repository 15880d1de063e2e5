package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// listenStream handles streamlocal-forward@openssh.com.
func (c *Conn) listenStream(payload []byte) error {
	var msg struct{ Path string }
	if err := ssh.Unmarshal(payload, &msg); err != nil {
		return c.failed(ForwardedStream, errMalformed)
	}
	path, err := c.socketPath(msg.Path)
	if err != nil {
		return c.failed(ForwardedStream, err)
	}
	sock, cleanup, err := listenUnix(path)
	if err != nil {
		return c.failed(ForwardedStream, err)
	}
	l := &listener{kind: ForwardedStream, sockets: []net.Listener{sock}, cleanup: cleanup}
	l.payload = func(net.Conn) []byte {
		return ssh.Marshal(struct{ Path, Reserved string }{msg.Path, ""})
	}
	return c.start(bindKey{host: msg.Path}, l)
}

// listenUnix listens on a socket of mode 0600. A socket that is there already
// is replaced, as with OpenSSH's StreamLocalBindUnlink, so that a reconnecting
// client gets its path back before the server has noticed the loss of its
// former connection; other files are not. cleanup removes the socket unless a
// newer owner has replaced it meanwhile.
func listenUnix(path string) (net.Listener, func(), error) {
	st, err := os.Lstat(path)
	if err == nil && st.Mode()&fs.ModeSocket == 0 {
		return nil, nil, fmt.Errorf("%s exists and is not a socket", path)
	}
	if err == nil {
		if err := os.Remove(path); err != nil {
			return nil, nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	_ = os.Chmod(path, 0o600)
	ours, err := os.Lstat(path)
	if err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, ours) {
			_ = os.Remove(path)
		}
	}, nil
}

// noSuchNetwork tells errors of a machine without IPv6 from those of a port.
func noSuchNetwork(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.EPROTONOSUPPORT)
}

// pause waits before another accept, after errors such as too many open files.
func pause(ctx context.Context, err error) bool {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) &&
		!errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.ENOMEM) {
		return false
	}
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
