package forward

import (
	"context"
	"io"
	"net"
	"sync"
)

type closeWriter interface{ CloseWrite() error }

// Pipe joins two connections until both directions have ended or ctx does, and
// closes them. The end of one direction is passed on as such, so that the other
// goes on (RFC 9293 3.6: a half-closed connection); an abortive end is passed on
// as one.
func Pipe(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() { abort(a); abort(b) })
	defer stop()
	var group sync.WaitGroup
	for _, direction := range [][2]net.Conn{{a, b}, {b, a}} {
		group.Go(func() {
			from, to := direction[0], direction[1]
			if _, err := io.Copy(to, from); err != nil {
				abort(from)
				abort(to)
				return
			}
			if half, ok := to.(closeWriter); !ok || half.CloseWrite() != nil {
				abort(to)
			}
		})
	}
	group.Wait()
	_ = a.Close()
	_ = b.Close()
}

// abort closes a connection so that its peer sees a reset where that can be
// told: half an answer must not look like a whole one.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
