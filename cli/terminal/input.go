package terminal

import (
	"io"
	"sync"
)

// maxPending bounds what is kept of what was typed without a connection.
const maxPending = 16 << 10

const (
	ctrlC = 0x03
	// escape at the start of a line begins a command to this program, as in
	// OpenSSH's client: "~." leaves, "~~" is a tilde.
	escape = '~'
)

// input reads the local input once, for whichever session is attached.
type input struct {
	from    io.Reader
	escapes bool // the input is a terminal in raw mode

	once     sync.Once
	mu       sync.Mutex // protects the following
	to       io.WriteCloser
	attached *sync.Cond
	closed   bool
	ended    bool // from has ended
	// pending is what was typed while nothing was attached.
	pending []byte
	// left is closed when the user leaves: by ~., or by Ctrl-C while there is
	// no connection that it could be sent over.
	left chan struct{}
	// Position in an escape.
	lineStart, tilde bool
}

func newInput(from io.Reader) *input {
	i := &input{from: from, lineStart: true, left: make(chan struct{})}
	i.attached = sync.NewCond(&i.mu)
	return i
}

// attach makes to the destination, and starts reading.
func (i *input) attach(to io.WriteCloser) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.to = to
	if len(i.pending) > 0 {
		_, _ = to.Write(i.pending) // far less than a channel's window
		i.pending = nil
	}
	if i.ended || i.from == nil {
		_ = to.Close()
		return
	}
	i.attached.Broadcast()
	i.once.Do(func() { go i.pump() })
}

// detach takes the destination away. What comes waits for the next one.
func (i *input) detach() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.to = nil
}

// close ends the pump at its next byte; a read that is under way cannot be
// interrupted.
func (i *input) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.attached.Broadcast()
}

// leave closes left; mu is held.
func (i *input) leave() {
	select {
	case <-i.left:
	default:
		close(i.left)
	}
}

func (i *input) pump() {
	buf := make([]byte, 32<<10)
	for {
		n, err := i.from.Read(buf)
		if n > 0 && !i.deliver(buf[:n]) {
			return
		}
		if err != nil {
			i.mu.Lock()
			i.ended = true
			if i.to != nil {
				_ = i.to.Close()
			}
			i.mu.Unlock()
			return
		}
	}
}

func (i *input) deliver(p []byte) bool {
	i.mu.Lock()
	if i.escapes {
		p = i.filter(p)
		if i.to == nil && len(i.pending)+len(p) <= maxPending {
			i.pending = append(i.pending, p...)
		}
	} else {
		// Nothing typed: bytes of a pipe wait for their destination.
		for i.to == nil && !i.closed {
			i.attached.Wait()
		}
	}
	to, closed := i.to, i.closed
	i.mu.Unlock()
	if closed {
		return false
	}
	if to != nil && len(p) > 0 {
		if _, err := to.Write(p); err != nil {
			// A command that reads no more is no failure. A terminal's next
			// session wants what comes after.
			return i.escapes
		}
	}
	return true
}

// filter takes escapes out of what was typed; mu is held.
func (i *input) filter(p []byte) []byte {
	out := make([]byte, 0, len(p)+1)
	for _, c := range p {
		if i.to == nil && c == ctrlC {
			i.leave()
		}
		switch {
		case i.tilde:
			i.tilde = false
			if c == '.' {
				i.leave()
				return out
			}
			if c != escape {
				out = append(out, escape)
			}
			out = append(out, c)
		case c == escape && i.lineStart:
			i.tilde = true
		default:
			out = append(out, c)
		}
		i.lineStart = c == '\r' || c == '\n'
	}
	return out
}
