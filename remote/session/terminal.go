package session

import (
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A client that sets the variable contract.EnvTerminal names its terminal.
// The terminal, and what runs in it, then outlives the loss of the connection:
// output is kept (the most recent part of it) until the same key asks for the
// same name again, or the grace period ends. A client ends it on purpose by
// closing the channel on a connection that lives on, or with the HUP signal.
//
// On a reattach the server replays the recent output, sets the client's size
// and makes the foreground program redraw. The command of a reattaching
// session is ignored.

var terminalID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

func validTerminalID(id string) bool { return terminalID.MatchString(id) }

// terminalKey: a name means nothing without the key that made it.
type terminalKey struct{ key, id string }

type terminals struct {
	opts Options

	mu     sync.Mutex // protects the following and all terminals' links
	byKey  map[terminalKey]*terminal
	closed bool
}

func newTerminals(opts Options) *terminals {
	return &terminals{opts: opts, byKey: make(map[terminalKey]*terminal)}
}

// terminal is one persistent terminal.
type terminal struct {
	set  *terminals
	key  terminalKey
	proc *process

	mu       sync.Mutex // protects the following
	recent   ring
	client   *attachment
	detached time.Time
	expiry   *time.Timer
	drained  bool // all output is in recent
}

// startTerminal attaches to the named terminal, or makes it. It returns false
// if there is no room for another one: the session is a plain one then.
func (x *exchange) startTerminal(isShell bool, text string) (bool, error) {
	set := x.srv.terminals
	key := terminalKey{x.client.Key, x.terminal}
	set.mu.Lock()
	defer set.mu.Unlock()
	t, found := set.byKey[key]
	if !found {
		if set.closed || !set.makeRoom() {
			x.log.Warn("no room for another persistent terminal, starting a plain one", "limit", set.opts.MaxTerminals)
			return false, nil
		}
		if x.agentSock != "" && x.client.StableAgent != "" {
			x.agentSock = x.client.StableAgent // outlives this connection
		}
		x.persistent = true
		p, err := x.spawn(isShell, text)
		if err != nil {
			return false, err
		}
		t = &terminal{set: set, key: key, proc: p, recent: ring{max: set.opts.TerminalBuffer}}
		set.byKey[key] = t
		x.srv.hold(p.master)
		go t.pump(x.srv)
	}
	x.target = t.proc
	x.wg.Add(1)
	x.ready = func() {
		go func() {
			defer x.wg.Done()
			x.attend(t, found)
		}()
	}
	return true, nil
}

// makeRoom ends the terminal that has been alone for longest, if the limit is
// reached. Attached ones are never ended.
func (s *terminals) makeRoom() bool {
	if len(s.byKey) < s.opts.MaxTerminals {
		return true
	}
	var oldest *terminal
	var since time.Time
	for _, t := range s.byKey {
		t.mu.Lock()
		alone, at := t.client == nil, t.detached
		t.mu.Unlock()
		if alone && !at.IsZero() && (oldest == nil || at.Before(since)) {
			oldest, since = t, at
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.byKey, oldest.key)
	go oldest.expire()
	return true
}

// attend serves one client of the terminal until it leaves or the program ends.
func (x *exchange) attend(t *terminal, again bool) {
	bytes := t.set.opts.Metrics.bytes
	a := newAttachment(x.ch)
	x.wg.Add(2)
	go func() {
		defer x.wg.Done()
		out := bytes.WithLabelValues("out", t.proc.kind)
		a.write(func(n int) { out.Add(float64(n)) })
	}()
	if again {
		t.set.opts.Metrics.reattach.Inc()
		x.log.Info("terminal reattached")
	}
	t.attach(a, again, x.pty.window)
	go func() {
		defer x.wg.Done()
		in := bytes.WithLabelValues("in", t.proc.kind)
		x.feed(t.proc, func(n int) { in.Add(float64(n)) }, false)
	}()
	select {
	case <-a.over:
		if t.finished(a) {
			<-t.proc.exited
			t.forget()
			report(x.ch, t.proc)
		} else {
			_ = x.ch.Close() // another client has taken over
		}
		<-x.gone
	case <-x.gone:
	}
	a.end()
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
func (t *terminal) attach(a *attachment, again bool, w window) {
	t.mu.Lock()
	old, drained := t.client, t.drained
	t.client = a
	t.detached = time.Time{}
	if t.expiry != nil {
		t.expiry.Stop()
		t.expiry = nil
	}
	if replay := t.recent.bytes(); len(replay) > 0 { // also what a new one has said already
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
	for {
		n, err := t.proc.master.Read(buf)
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

// count updates the gauges.
func (s *terminals) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	attached, alone := 0, 0
	for _, t := range s.byKey {
		t.mu.Lock()
		if t.client != nil {
			attached++
		} else {
			alone++
		}
		t.mu.Unlock()
	}
	s.opts.Metrics.terminals.WithLabelValues("attached").Set(float64(attached))
	s.opts.Metrics.terminals.WithLabelValues("detached").Set(float64(alone))
}

// close ends all terminals.
func (s *terminals) close() {
	s.mu.Lock()
	s.closed = true
	all := make([]*terminal, 0, len(s.byKey))
	for _, t := range s.byKey {
		all = append(all, t)
	}
	s.mu.Unlock()
	for _, t := range all {
		t.end()
	}
}
