package session

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// reader is a client of terminals as it names itself, the same in each of its
// attempts to attach; no name if it does not.
type reader struct {
	name string
	// seen is how many bytes of output it has had, counted by itself.
	seen int64
	// start is where in the terminal's output its count began.
	start int64
}

var errReader = errors.New("not of the form name:bytes")

// parseReader reads the value of contract.EnvTerminalSeen.
func parseReader(value string) (reader, error) {
	name, count, ok := strings.Cut(value, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if !ok || !validTerminalID(name) || err != nil || n < 0 {
		return reader{}, errReader
	}
	return reader{name: name, seen: n}, nil
}

// next makes now the reader of what is recent, and returns what it has not seen.
func (r *reader) next(now reader, recent *ring) []byte {
	if now.name != "" && now.name == r.name {
		now.start = r.start
		if p, ok := recent.since(now.start + now.seen); ok {
			*r = now
			return p
		}
	}
	p := recent.bytes()
	now.start = recent.total - int64(len(p)) - now.seen
	*r = now
	return p
}

// attached is a terminal as its client's requests reach it. Those of a client
// that another one has replaced do not.
type attached struct {
	t *terminal
	a *attachment
}

func (x attached) replaced() bool {
	x.t.mu.Lock()
	defer x.t.mu.Unlock()
	return x.t.client != nil && x.t.client != x.a
}

func (x attached) resize(w window) {
	if !x.replaced() {
		x.t.proc.resize(w)
	}
}

func (x attached) signal(sig ssh.Signal) bool {
	if x.replaced() {
		return false
	}
	x.t.mu.Lock()
	x.t.hungUp = x.t.hungUp || sig == ssh.SIGHUP
	x.t.told = x.t.told || sig == ssh.SIGHUP || sig == ssh.SIGTERM || sig == ssh.SIGKILL
	x.t.mu.Unlock()
	return x.t.proc.signal(sig)
}

func (attached) stopOutput() {} // a terminal has no output to close alone

// attachment is the connected client of a terminal. Its output goes through a
// queue, so that a client whose connection is stalled can be replaced.
type attachment struct {
	ch ssh.Channel
	// conn is the connection that it is on, client how it names itself.
	conn, client string

	queue chan []byte
	// over is closed when the terminal has no more to say to this client.
	over chan struct{}
	once sync.Once
	// until is when the terminal takes no more of this client's input: soon after
	// its end. Protected by the terminal's mu.
	until time.Time
}

func newAttachment(x *exchange) *attachment {
	return &attachment{ch: x.ch, conn: x.client.ID, client: x.reader.name, queue: make(chan []byte, 4), over: make(chan struct{})}
}

func (a *attachment) end() { a.once.Do(func() { close(a.over) }) }

// send queues output; it waits for a slow client, but not for a replaced one.
// A nil p marks the end of all output.
func (a *attachment) send(p []byte) {
	select {
	case a.queue <- p:
	case <-a.over:
	}
}

// write carries the queue to the client.
func (a *attachment) write(count func(int)) {
	defer a.end()
	for {
		select {
		case p := <-a.queue:
			if p == nil {
				return
			}
			n, err := a.ch.Write(p)
			count(n)
			if err != nil {
				return
			}
		case <-a.over:
			return
		}
	}
}

// typist writes what a client types into a terminal that outlives it. A program
// that reads nothing must not keep a client that is gone, nor what its successor
// types.
type typist struct {
	t   *terminal
	a   *attachment
	out io.Writer
}

func (y typist) Write(p []byte) (int, error) {
	y.t.typing.Lock()
	defer y.t.typing.Unlock()
	if !y.t.begin(y.a) {
		return 0, net.ErrClosed
	}
	n, err := y.out.Write(p)
	y.t.wrote(y.a, n)
	return n, err
}

// begin makes a the client whose input is being written, if it still may.
func (t *terminal) begin(a *attachment) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.takes(a) {
		return false
	}
	t.writer = a
	if !a.until.IsZero() {
		t.setInputDeadline()
	}
	return true
}

// wrote is called when n bytes of a's input have been written.
func (t *terminal) wrote(a *attachment, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.client == t.typed.name {
		t.typed.bytes += int64(n)
	}
	t.writer = nil
	if !a.until.IsZero() {
		t.setInputDeadline()
	}
}

// limit gives the input of a client that has ended a little time to be read.
func (t *terminal) limit(a *attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !a.until.IsZero() {
		return
	}
	a.until = time.Now().Add(lastInputTime)
	if t.writer == a {
		t.setInputDeadline()
	}
}

// setInputDeadline applies the current writer's. The caller holds mu.
func (t *terminal) setInputDeadline() {
	var until time.Time
	if t.writer != nil {
		until = t.writer.until
	}
	_ = t.proc.master.SetWriteDeadline(until)
}
