package session

import (
	"math/rand/v2"
	"sync"
	"time"
)

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

// startTerminal attaches to the named terminal, or makes it. It returns false
// if there is no room for another one: the session is a plain one then.
func (x *exchange) startTerminal(isShell bool, text string) (bool, error) {
	set := x.srv.terminals
	key := terminalKey{x.client.Key, x.terminal}
	set.mu.Lock()
	defer set.mu.Unlock()
	t, found := set.byKey[key]
	if found && !t.welcomes(x.reader) {
		delete(set.byKey, key)
		go t.abandon()
		found = false
	}
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
		t = &terminal{set: set, key: key, proc: p, program: rand.Uint64(), recent: ring{max: set.opts.TerminalBuffer}}
		set.byKey[key] = t
		x.srv.hold(p.master)
	}
	t.attaches(x.reader, x.client.ID, found)
	a := newAttachment(x)
	x.target = attached{t, a}
	x.wg.Add(1)
	x.ready = func() {
		go func() {
			defer x.wg.Done()
			x.attend(t, a, found)
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
