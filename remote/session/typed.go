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
	// again is the connection on which the client attached again; it may ask.
	again string
	// from is the only connection whose input is taken; "" takes all.
	from string
}

// attaches notes that a client asks for the terminal. again says that the terminal
// was there before. The caller holds the terminals' mu.
func (t *terminal) attaches(r reader, conn string, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !again || r.name == "" || r.name != t.typed.name {
		t.typed = typed{name: r.name}
		return
	}
	t.typed.again = conn
}

// takes reports whether a's input still goes to the program. The caller holds mu.
func (t *terminal) takes(a *attachment) bool {
	return t.typed.from == "" || t.typed.from == a.conn
}

// Typed answers contract.TypedRequest: how many bytes of its input the program of a
// terminal has been given, over all of the client's connections before this one. From
// then on the program gets nothing more from those. It fails for a client that has
// not attached again to a terminal that it had.
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
	return true, ssh.Marshal(struct{ Bytes uint64 }{uint64(n)})
}

// settle ends the input of the client's other connections and returns what of it the
// program has had.
func (t *terminal) settle(name, conn string) (int64, bool) {
	t.mu.Lock()
	if t.typed.name != name || t.typed.again != conn {
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
