package session

import (
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"okteto/remote/quickio"
)

// A client that sets the variable contract.EnvTerminal names its terminal.
// The terminal, and what runs in it, then outlives the loss of the connection:
// output is kept (the most recent part of it) until the same key asks for the
// same name again, or the grace period ends. A client ends it on purpose by
// closing the channel on a connection that lives on, or with the HUP signal.
//
// With contract.EnvTerminalSeen a client also names itself and tells how much
// output it has had. When it comes back the output goes on from there. Whoever
// else asks for the terminal gets the recent output, and only of a program that
// is running and that nobody has told to end: the result of such a program is
// its own client's, and a new client gets a new program. How much of its input the
// program has had a client asks when it has come back, see typed.go.
//
// On a reattach the server replays, sets the client's size and makes the
// foreground program redraw. The command of a reattaching session is ignored.

var terminalID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

func validTerminalID(id string) bool { return terminalID.MatchString(id) }

// terminal is one persistent terminal.
type terminal struct {
	set  *terminals
	key  terminalKey
	proc *process
	// program is a number of its own, see typed.go.
	program uint64

	typing sync.Mutex // held while a client's input is written

	mu       sync.Mutex // protects the following
	recent   ring
	client   *attachment
	writer   *attachment // whose input is being written
	reader   reader      // of the last client
	typed    typed
	detached time.Time
	expiry   *time.Timer
	drained  bool // all output is in recent
	told     bool // a client has told the program to end
	hungUp   bool // … with HUP, which says that it will not come back
}

// welcomes reports whether r may attach: see the top of this file.
func (t *terminal) welcomes(r reader) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.name != "" && r.name == t.reader.name {
		return true
	}
	if t.told {
		return false
	}
	select {
	case <-t.proc.exited:
		return r.name == "" // may have lost its connection, for all we know
	default:
		return true
	}
}

// abandon leaves the terminal, which nobody finds any more, to the client that
// it has.
func (t *terminal) abandon() {
	t.mu.Lock()
	alone := t.client == nil
	t.hungUp = true
	t.mu.Unlock()
	if alone {
		t.end()
	}
}

// attend serves one client of the terminal until it leaves or the program ends.
func (x *exchange) attend(t *terminal, a *attachment, again bool) {
	bytes := t.set.opts.Metrics.bytes
	x.wg.Add(2)
	go func() {
		defer x.wg.Done()
		out := bytes.WithLabelValues("out", t.proc.kind)
		a.write(func(n int) { out.Add(float64(n)) })
	}()
	if again {
		t.set.opts.Metrics.reattach.Inc()
		x.log.Info("terminal reattached")
	} else if t.proc.notice != "" {
		x.tell(t.proc.notice)
	}
	t.attach(a, x.reader, again, x.pty.window)
	if !again {
		go t.pump(x.srv)
	}
	go func() {
		defer x.wg.Done()
		in := bytes.WithLabelValues("in", t.proc.kind)
		x.feed(typist{t, a, quickio.New(t.proc.master)}, func(n int) { in.Add(float64(n)) })
	}()
	select {
	case <-a.over:
		if t.finished(a) {
			<-t.proc.exited
			t.forget()
			report(x.ch, t.proc)
		} else {
			t.limit(a)
			_ = x.ch.Close() // another client has taken over
		}
		<-x.gone
	case <-x.gone:
	}
	a.end()
	t.limit(a)
	t.leave(a, isLost(x.client.Lost))
}

// lostWait is how long the loss of a connection may be seen after the end of
// its channels.
const lostWait = 200 * time.Millisecond

func isLost(lost <-chan struct{}) bool {
	select {
	case <-lost:
		return true
	case <-time.After(lostWait):
		return false
	}
}

// attach makes a the terminal's client. It replays before anything newer.
func (t *terminal) attach(a *attachment, r reader, again bool, w window) {
	t.mu.Lock()
	old, drained := t.client, t.drained
	t.client = a
	t.detached = time.Time{}
	if t.expiry != nil {
		t.expiry.Stop()
		t.expiry = nil
	}
	if replay := t.reader.next(r, &t.recent); len(replay) > 0 {
		a.queue <- replay // has room: nobody else knows a yet
	}
	t.mu.Unlock()
	if old != nil {
		old.end()
	}
	t.set.count()
	if drained {
		a.send(nil)
		return
	}
	if again {
		t.proc.resize(w)
		// Also at an unchanged size: full-screen programs redraw on it.
		if fg := foreground(t.proc.master); fg > 0 {
			t.proc.kill(fg, unix.SIGWINCH)
		}
	}
}

// pump reads the terminal for as long as its program runs, with or without a
// client.
func (t *terminal) pump(s *Server) {
	defer s.release(t.proc.master)
	go func() {
		<-t.proc.exited
		_ = t.proc.master.SetReadDeadline(time.Now().Add(t.set.opts.Silence))
	}()
	buf := make([]byte, chunk)
	src := quickio.New(t.proc.master)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			p := append([]byte(nil), buf[:n]...)
			if a := t.record(p); a != nil {
				a.send(p)
			}
		}
		if err != nil {
			break
		}
	}
	t.mu.Lock()
	t.drained = true
	a := t.client
	t.mu.Unlock()
	if a != nil {
		a.send(nil)
	}
}

// record keeps p and returns the client to send it to.
func (t *terminal) record(p []byte) *attachment {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent.write(p)
	return t.client
}

// finished reports whether a is the client that gets the program's status.
func (t *terminal) finished(a *attachment) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client == a && t.drained
}

// leave is called when the client's channel has ended: its connection was
// lost, or it closed the terminal.
func (t *terminal) leave(a *attachment, lost bool) {
	t.mu.Lock()
	if t.client != a {
		t.mu.Unlock()
		return
	}
	t.client = nil
	lost = lost && !t.hungUp
	if lost {
		t.detached = time.Now()
		t.expiry = time.AfterFunc(t.set.opts.TerminalGrace, t.expire)
	}
	t.mu.Unlock()
	if !lost {
		t.end()
		return
	}
	t.set.count()
}

// expire ends a terminal nobody came back to.
func (t *terminal) expire() {
	t.mu.Lock()
	back := t.client != nil
	t.mu.Unlock()
	if !back {
		t.set.opts.Metrics.expired.Inc()
		t.end()
	}
}

// end hangs up, as the loss of a plain terminal would.
func (t *terminal) end() {
	t.forget()
	_ = t.proc.master.Close()
}

func (t *terminal) forget() {
	t.set.mu.Lock()
	if t.set.byKey[t.key] == t {
		delete(t.set.byKey, t.key)
	}
	t.set.mu.Unlock()
	t.set.count()
}
