// Package quickio reads and writes sockets and terminals in fewer steps than the
// standard library, for the few bytes of a keystroke and its echo.
//
// Go announces every system call to its scheduler, in case it blocks. On an idle
// server the first one wakes the runtime's monitor thread, which then polls for a
// while: work on the path of a keystroke, and on the processors that the client
// and the program want just then. A descriptor in non-blocking mode cannot block,
// so its calls need no announcement.
package quickio

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// small is the most that is written without the scheduler's knowledge: the work of
// a system call is in proportion, and nothing else runs on its processor.
const small = 4 << 10

// Conn is a connection or file in non-blocking mode. As the one that it wraps it
// is for one reader and one writer at a time; deadlines and Close are those of the
// wrapped one, and end its calls.
type Conn struct {
	io.ReadWriter
	raw         syscall.RawConn
	read, write call
}

// call is a system call under way. Its function is made once, so that calls
// allocate nothing.
type call struct {
	trap  uintptr
	p     []byte
	n     int
	errno syscall.Errno
	run   func(fd uintptr) bool
}

// New wraps c. It returns c itself if it has no descriptor.
func New(c io.ReadWriter) io.ReadWriter {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	q := &Conn{ReadWriter: c, raw: raw, read: call{trap: unix.SYS_READ}, write: call{trap: unix.SYS_WRITE}}
	q.read.run, q.write.run = q.read.try, q.write.try
	return q
}

// try makes the call, and reports false if it would block.
func (c *call) try(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(c.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.p))), uintptr(len(c.p)))
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		c.n, c.errno = int(n), errno
		if errno != 0 {
			c.n = 0
		}
		return true
	}
}

// Read is Read of the wrapped one.
func (q *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	q.read.p = p
	err := q.raw.Read(q.read.run)
	q.read.p = nil
	switch {
	case err != nil:
		return 0, err
	case q.read.errno != 0:
		return 0, q.read.errno
	case q.read.n == 0:
		return 0, io.EOF
	}
	return q.read.n, nil
}

// Write is Write of the wrapped one.
func (q *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) > small {
		return q.ReadWriter.Write(p)
	}
	q.write.p = p
	err := q.raw.Write(q.write.run)
	q.write.p = nil
	switch {
	case err != nil:
		return 0, err
	case q.write.errno != 0:
		return 0, q.write.errno
	case q.write.n < len(p):
		n, err := q.ReadWriter.Write(p[q.write.n:])
		return q.write.n + n, err
	}
	return len(p), nil
}
