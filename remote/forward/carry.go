package forward

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// halfCloser is a connection whose write side closes alone.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

const (
	// chunk is the most that one SSH packet carries; smallChunk is what an idle
	// forward holds in each direction.
	chunk      = 32 << 10
	smallChunk = 2 << 10
	// flushTime is how long data that the client has sent before its channel
	// ended may take to reach a slow target.
	flushTime = 30 * time.Second
)

// buffers are reused: idle forwards should cost little, and the garbage
// collector runs less often.
var buffers = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// carry copies both ways until both directions have ended, then closes both.
type carry struct {
	conn halfCloser
	ch   ssh.Channel
	// broken tells whether the transport of the SSH connection has failed; a
	// client that closed it in an orderly way may have sent all before.
	broken  func() bool
	in, out func(int)
}

func (c *carry) run(reqs <-chan *ssh.Request) {
	var wg sync.WaitGroup
	wg.Add(3)
	go func() {
		defer wg.Done()
		discard(c.ch.Stderr())
	}()
	go func() {
		defer wg.Done()
		ssh.DiscardRequests(reqs)
		// The client has closed the channel or is gone: nobody takes what
		// the target still says.
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		_ = c.conn.SetWriteDeadline(time.Now().Add(flushTime))
	}()
	toClient := make(chan struct{})
	go func() {
		defer wg.Done()
		defer close(toClient)
		c.toClient()
	}()
	switch c.toTarget() {
	case truncated:
		abort(c.conn)
	case refused:
		// The target takes no more. What it has said already still goes to
		// the client, whose rest is swallowed so that it can go on.
		_ = c.conn.CloseWrite()
		wg.Add(1)
		go func() {
			defer wg.Done()
			discard(c.ch)
		}()
	case complete:
		_ = c.conn.CloseWrite()
	}
	<-toClient
	_ = c.ch.Close()
	_ = c.conn.Close()
	wg.Wait()
}

// discard takes what has no use: the rest of the client's data, or what it sends
// beside the data (RFC 4254 section 5.2), which must not use up the channel's window.
func discard(r io.Reader) {
	buf := make([]byte, 512)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
	}
}

// toClient carries what the target says, and its end.
func (c *carry) toClient() {
	rerr, werr := pipe(c.ch, c.conn, c.out)
	switch {
	case rerr == nil && werr == nil:
		_ = c.ch.CloseWrite()
	case errors.Is(rerr, syscall.ECONNRESET):
		// A close without an EOF is the channel's word for a reset.
		_ = c.ch.Close()
	default:
		// The client is gone, or the other direction has ended the target.
		_ = c.ch.CloseWrite()
	}
}

// outcome of the direction to the target.
type outcome int

const (
	complete  outcome = iota
	refused           // the target reads no more
	truncated         // the client was lost before its EOF
)

// toTarget carries what the client says.
func (c *carry) toTarget() outcome {
	_, werr := pipe(c.conn, c.ch, c.in)
	if werr != nil {
		return refused
	}
	if c.broken() {
		return truncated
	}
	return complete
}

// abort closes a connection so that its peer sees a reset: a truncated stream
// must not look like a complete one.
func abort(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

// pipe copies until EOF and tells which side failed.
func pipe(dst io.Writer, src io.Reader, count func(int)) (rerr, werr error) {
	buf := make([]byte, smallChunk)
	for {
		n, err := src.Read(buf)
		if n == len(buf) && n < chunk {
			bp := buffers.Get().(*[]byte)
			defer buffers.Put(bp)
			copy(*bp, buf)
			buf = *bp
		}
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return nil, werr
			}
			count(n)
		}
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
	}
}
