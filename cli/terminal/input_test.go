package terminal

import (
	"bytes"
	"io"
	"testing"
)

type sink struct{ bytes.Buffer }

func (*sink) Close() error { return nil }

func left(i *input) bool {
	select {
	case <-i.left:
		return true
	default:
		return false
	}
}

// The escapes of OpenSSH's client (ssh(1), ESCAPE CHARACTERS).
func TestEscapes(t *testing.T) {
	for _, c := range []struct {
		name, typed, sent string
		left              bool
	}{
		{"plain", "ls\r", "ls\r", false},
		{"leave at once", "~.", "", true},
		{"leave after a line", "ls\r~.", "ls\r", true},
		{"a tilde inside a line", "cd ~.\r", "cd ~.\r", false},
		{"a doubled tilde is one", "~~x", "~x", false},
		{"another command is none", "~x", "~x", false},
		{"a tilde and a new line", "~\r", "~\r", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			// At once, and byte by byte as a person types.
			for _, size := range []int{len(c.typed), 1} {
				to := &sink{}
				i := newInput(nil)
				i.escapes = true
				i.to = to
				for p := []byte(c.typed); len(p) > 0; p = p[size:] {
					i.deliver(p[:size])
				}
				if to.String() != c.sent || left(i) != c.left {
					t.Errorf("in pieces of %d: sent %q, left %v; want %q, %v", size, to, left(i), c.sent, c.left)
				}
			}
		})
	}
}

func TestCtrlCLeavesOnlyWithoutAConnection(t *testing.T) {
	i := newInput(nil)
	i.escapes = true
	to := &sink{}
	i.to = to
	i.deliver([]byte{ctrlC})
	if left(i) || to.String() != "\x03" {
		t.Errorf("with a connection: left %v, sent %q", left(i), to)
	}
	i.detach()
	i.deliver([]byte{ctrlC})
	if !left(i) {
		t.Error("without a connection: still there")
	}
}

func TestWhatIsTypedWithoutAConnectionArrivesLater(t *testing.T) {
	i := newInput(nil)
	i.escapes = true
	i.deliver([]byte("ls\r"))
	to := &sink{}
	i.attach(to, -1)
	if to.String() != "ls\r" {
		t.Errorf("arrived: %q", to)
	}
	i.detach()
	i.deliver(bytes.Repeat([]byte("x"), maxPending+1))
	again := &sink{}
	i.attach(again, -1)
	if again.Len() > maxPending {
		t.Errorf("%d bytes were kept", again.Len())
	}
}

func TestAPipesBytesWaitForTheNextSession(t *testing.T) {
	from, writer := io.Pipe()
	i := newInput(from)
	first := &sink{}
	i.attach(first, -1)
	_, _ = writer.Write([]byte("one"))
	i.detach()
	go func() { _, _ = writer.Write([]byte("two")); _ = writer.Close() }()
	second := &closeSink{closed: make(chan struct{})}
	i.attach(second, -1)
	<-second.closed
	if first.String()+second.String() != "onetwo" {
		t.Errorf("%q and %q arrived", first.String(), second.String())
	}
}

type closeSink struct {
	bytes.Buffer
	closed chan struct{}
}

func (s *closeSink) Close() error { close(s.closed); return nil }
