// Package proxy is a TCP proxy for tests that misbehaves on request: it delays,
// limits, stalls and cuts what goes through it.
package proxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy forwards connections to a target until it is closed. Its methods may be
// called at any time from any goroutine.
type Proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu sync.Mutex
	// mu protects the following.
	target  string
	conns   map[net.Conn]struct{}
	delay   time.Duration
	rate    int
	refuse  bool
	stalled chan struct{} // closed when the stall is over; nil: none
	// stranded is set for the connections that share it when they are left alone.
	stranded *atomic.Bool
	closed   bool
	bytes    int64
}

// New starts a proxy on a port of loopback.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: listener, target: target, conns: map[net.Conn]struct{}{}, stranded: &atomic.Bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget for connections to come.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// SetDelay is added to each piece of data, in each direction: half of a round
// trip time.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// SetRate limits each direction of each connection to bytes per second; 0: no
// limit.
func (p *Proxy) SetRate(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Bytes that have come from both sides.
func (p *Proxy) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// Refuse closes new connections at once while it is on.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Stall swallows nothing and forwards nothing while it is on, as a black hole
// does: nobody is told.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.stalled == nil:
		p.stalled = make(chan struct{})
	case !on && p.stalled != nil:
		close(p.stalled)
		p.stalled = nil
	}
}

// Strand swallows for ever what the connections of now send, and their ends, as a NAT
// does that has forgotten them. New ones work.
func (p *Proxy) Strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stranded.Store(true)
	p.stranded = &atomic.Bool{}
}

// Cut resets all connections (RST). New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
}

// Close ends the proxy and all that it started.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Stall(false)
	p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(near) })
	}
}

func (p *Proxy) serve(near net.Conn) {
	defer near.Close()
	p.mu.Lock()
	target, refuse, stranded := p.target, p.refuse, p.stranded
	p.mu.Unlock()
	if refuse {
		return
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.track(near, far) {
		return
	}
	defer p.untrack(near, far)
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(far, near, stranded) })
	wg.Go(func() { p.copy(near, far, stranded) })
	wg.Wait()
}

func (p *Proxy) track(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return true
}

func (p *Proxy) untrack(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}

// piece is data and when it may go on.
type piece struct {
	data []byte
	at   time.Time
}

// copy one direction. Reading goes on while pieces wait for their time, so a
// delay does not limit the rate. The end of one direction is passed on alone.
func (p *Proxy) copy(to, from net.Conn, stranded *atomic.Bool) {
	pieces := make(chan piece, 1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for piece := range pieces {
			time.Sleep(time.Until(piece.at))
			p.awaitStall()
			if stranded.Load() {
				continue
			}
			if _, err := to.Write(piece.data); err != nil {
				from.Close()
			}
		}
		if tcp, ok := to.(*net.TCPConn); ok && !stranded.Load() {
			_ = tcp.CloseWrite()
		}
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			delay, rate := p.delay, p.rate
			p.bytes += int64(n)
			p.mu.Unlock()
			pieces <- piece{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}
			if rate > 0 {
				time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
			}
		}
		if err != nil {
			break
		}
	}
	close(pieces)
	<-done
}

func (p *Proxy) awaitStall() {
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}
