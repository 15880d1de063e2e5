package session

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// typed is what the program of a terminal has been given of one client's input, so
// that the client can send again what was on its way when a connection was lost.
type typed struct {
	name  string // of the client, as reader has it
	bytes int64
	// asks is the connection on which the client has attached to a program that is
	// new, or that it had: it may ask.
	asks string
	// from is the only connection whose input is taken; "" takes all.
	from string
}

// attaches notes that a client asks for the terminal. found says that the terminal
// was there before. The caller holds the terminals' mu.
func (t *terminal) attaches(r reader, conn string, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case r.name == "":
		t.typed = typed{}
	case !found:
		t.typed = typed{name: r.name, asks: conn}
	case r.name != t.typed.name: // what it typed before another one came is not known
		t.typed = typed{name: r.name}
	default:
		t.typed.asks = conn
	}
}

// takes reports whether a's input still goes to the program. The caller holds mu.
func (t *terminal) takes(a *attachment) bool {
	return t.typed.from == "" || t.typed.from == a.conn
}

// Typed answers contract.TypedRequest: how many bytes of its input the program of a
// terminal has been given, over all of the client's connections before this one. From
// then on the program gets nothing more from those. With it comes the program's own
// number, so that a client knows a new one. It fails for a client that has attached to
// a terminal which another one had.
func (s *Server) Typed(client Client, payload []byte) (ok bool, reply []byte) {
	var msg struct{ Terminal, Client string }
	if ssh.Unmarshal(payload, &msg) != nil || msg.Client == "" {
		return false, nil
	}
	s.terminals.mu.Lock()
	t := s.terminals.byKey[terminalKey{client.Key, msg.Terminal}]
	s.terminals.mu.Unlock()
	if t == nil {
		return false, nil
	}
	n, ok := t.settle(msg.Client, client.ID)
	if !ok {
		return false, nil
	}
	return true, ssh.Marshal(struct{ Bytes, Program uint64 }{uint64(n), t.program})
}

// settle ends the input of the client's other connections and returns what of it the
// program has had.
func (t *terminal) settle(name, conn string) (int64, bool) {
	t.mu.Lock()
	if t.typed.name != name || t.typed.asks != conn {
		t.mu.Unlock()
		return 0, false
	}
	t.typed.from = conn
	if w := t.writer; w != nil && w.conn != conn {
		w.until = time.Unix(1, 0)
		t.setInputDeadline()
	}
	t.mu.Unlock()

	t.typing.Lock() // waits for the write that has been ended
	defer t.typing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.typed.bytes, t.typed.name == name
}
