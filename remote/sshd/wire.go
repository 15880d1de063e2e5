package sshd

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"okteto/remote/quickio"
)

// readBuffer below the SSH transport, whose own holds 4 KiB: fewer system calls for
// bulk transfers.
const readBuffer = 64 << 10

// wire is the transport of one SSH connection.
type wire struct {
	net.Conn
	quick io.ReadWriter // of Conn
	load  *load
	r     *bufio.Reader
	// joins is set once all packets are encrypted with AES-GCM.
	joins atomic.Bool
	held  []byte // of the current packet, see send
	skip  int    // bytes of the next writes that have been sent already
	in    atomic.Int64
	out   atomic.Int64
	// broken is set when reading fails otherwise than by the client's close.
	broken atomic.Bool
}

func newWire(conn net.Conn, load *load) *wire {
	quick := quickio.New(conn)
	return &wire{Conn: conn, quick: quick, load: load, r: bufio.NewReaderSize(quick, readBuffer)}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.in.Add(int64(n))
	w.load.add(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.broken.Store(true)
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	skipped := min(w.skip, len(p))
	w.skip -= skipped
	if skipped == len(p) {
		return len(p), nil
	}
	n, err := w.send(p[skipped:])
	w.out.Add(int64(n))
	w.load.add(n)
	return skipped + n, err
}

// libraryBuffer is the size of the SSH library's own buffer below the packets.
const libraryBuffer = 4096

// send writes p, joined with the piece before it when that was held back: the
// library fills its buffer with the beginning of a packet, writes that, and then
// the rest. Half of the system calls, and of the receiver's wake-ups, are gone.
//
// A full buffer is never the end of a packet with AES-GCM: four bytes of length,
// then blocks of 16 (RFC 5647 section 7.2), are never 4096.
func (w *wire) send(p []byte) (int, error) {
	if w.joins.Load() && len(w.held) == 0 && len(p) == libraryBuffer {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if len(w.held) == 0 {
		return w.quick.Write(p)
	}
	held := len(w.held)
	buffers := net.Buffers{w.held, p}
	n, err := buffers.WriteTo(w.Conn)
	w.held = w.held[:0]
	return max(0, int(n)-held), err
}
