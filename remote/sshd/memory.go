package sshd

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	tuneInterval = 500 * time.Millisecond
	// busyBytes in an interval are a bulk transfer.
	busyBytes = 4 << 20
	// quietTime after the last one memory is given back.
	quietTime = 10 * time.Second
	// The garbage collector's settings. A packet is 32 KiB of garbage:
	// collecting seldom makes transfers a quarter faster. The limit keeps
	// memory in bounds all the same.
	quietGC     = 100
	busyGC      = 800
	memoryLimit = 128 << 20
)

// tuneMemory trades memory for speed while there are bulk transfers, and gives
// it back afterwards.
func (s *Server) tuneMemory(ctx context.Context) {
	debug.SetMemoryLimit(memoryLimit)
	t := time.NewTicker(tuneInterval)
	defer t.Stop()
	var last, trimmed int64
	busy, since := false, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := s.carried()
		moved := now - last
		last = now
		switch {
		case moved > busyBytes:
			since = time.Now()
			if !busy {
				busy = true
				debug.SetGCPercent(busyGC)
			}
		case moved > 0 && !busy:
			since = time.Now()
		case time.Since(since) > quietTime && now != trimmed:
			busy, trimmed = false, now
			debug.SetGCPercent(quietGC)
			debug.FreeOSMemory()
		}
	}
}

// carried counts the bytes of all connections so far.
func (s *Server) carried() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.ended
	for c := range s.conns {
		n += c.wire.in.Load() + c.wire.out.Load()
	}
	return n
}
