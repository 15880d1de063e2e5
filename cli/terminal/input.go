package terminal

import (
	"io"
	"sync"
)

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
	named   bool // the pod's terminal is a named one: what is lost on the way is sent again

	once     sync.Once
	mu       sync.Mutex // protects the following
	to       io.WriteCloser
	attached *sync.Cond
	closed   bool
	ended    bool // from has ended
	typed    history
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

// attach makes to the destination, and starts reading. had is how many bytes the
// program has been given on the connections before, negative for a new program. It
// returns how many bytes are lost since they are not kept any more.
func (i *input) attach(to io.WriteCloser, had int64) (missing int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.to = to
	var p []byte
	if had < 0 {
		p = i.typed.begin()
	} else {
		p, missing = i.typed.resume(had)
	}
	if len(p) > 0 {
		_, _ = to.Write(p) // less than a channel's window
	}
	if i.ended || i.from == nil {
		_ = to.Close()
		return missing
	}
	i.attached.Broadcast()
	i.once.Do(func() { go i.pump() })
	return missing
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
		if i.to == nil && i.typed.pending()+len(p) <= maxPending {
			i.typed.add(p)
		}
	} else {
		// Nothing typed: bytes of a pipe wait for their destination.
		for i.to == nil && !i.closed {
			i.attached.Wait()
		}
	}
	to, closed := i.to, i.closed
	if to != nil && i.named {
		i.typed.add(p)
		i.typed.sent = i.typed.end
	}
	i.mu.Unlock()
	if closed {
		return false
	}
	if to != nil && len(p) > 0 {
		if _, err := to.Write(p); err != nil {
			// A command that reads no more is no failure. A terminal's next
			// session wants what comes after.
			return i.escapes || i.named
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
