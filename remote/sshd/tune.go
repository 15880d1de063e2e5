package sshd

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"okteto/internal/cgroup"
)

const (
	tuneInterval = 500 * time.Millisecond
	// busyBytes in an interval are a bulk transfer.
	busyBytes = 4 << 20
	// quietTime after the last one memory is given back.
	quietTime = 10 * time.Second
	// The garbage collector's settings. A packet is 32 KiB of garbage:
	// collecting seldom makes transfers a quarter faster. The limit keeps
	// memory in bounds all the same: a share, one in so many, of what the container
	// has, which is the developer's.
	quietGC     = 100
	busyGC      = 800
	memoryShare = 8
	leastMemory = 24 << 20
	mostMemory  = 128 << 20
	// wideBytes in an interval, or calm of a processor's time, are more than
	// keystrokes: they want more processors.
	wideBytes = 256 << 10
	calm      = tuneInterval / 5
)

// load is what the server does now, and what the runtime is set to for it.
//
// While there is little to do, goroutines run on one processor. A keystroke goes
// through four of them, and with idle processors about Go wakes another thread
// for each, which costs more than the work: with one, the echo is a sixth faster.
// Transfers get half of the processors: what the server carries, another program
// here makes or takes. On two, an upload is a fifth faster with one than with both.
type load struct {
	moved atomic.Int64 // bytes in this interval

	narrow atomic.Bool
	mu     sync.Mutex // protects narrow's changes
	all    int        // processors that there are
}

func newLoad() *load {
	return &load{all: runtime.GOMAXPROCS(0)}
}

// add counts bytes carried. What begins in earnest does not wait for the next
// look.
func (l *load) add(n int) {
	if l.moved.Add(int64(n)) > wideBytes && l.narrow.Load() {
		l.widen()
	}
}

func (l *load) widen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.narrow.Load() {
		runtime.GOMAXPROCS((l.all + 1) / 2)
		l.narrow.Store(false)
	}
}

func (l *load) narrowDown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.narrow.Load() {
		runtime.GOMAXPROCS(1)
		l.narrow.Store(true)
	}
}

// tune keeps the runtime's settings until ctx ends: processors as above, and
// memory, which is traded for speed while there are bulk transfers and given back
// afterwards.
func (l *load) tune(ctx context.Context) {
	debug.SetMemoryLimit(memoryLimit(containerMemory()))
	defer runtime.GOMAXPROCS(l.all)
	l.narrowDown()
	t := time.NewTicker(tuneInterval)
	defer t.Stop()
	busy, dirty, since := false, false, time.Now()
	used := processorTime()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		moved := l.moved.Swap(0)
		last := used
		used = processorTime()
		if moved > wideBytes || used-last > calm {
			l.widen()
		} else {
			l.narrowDown()
		}
		switch {
		case moved > busyBytes:
			since, dirty = time.Now(), true
			if !busy {
				busy = true
				debug.SetMemoryLimit(memoryLimit(containerMemory())) // may have changed
				debug.SetGCPercent(busyGC)
			}
		case moved > 0 && !busy:
			since, dirty = time.Now(), true
		case time.Since(since) > quietTime && dirty:
			busy, dirty = false, false
			debug.SetGCPercent(quietGC)
			debug.FreeOSMemory()
		}
	}
}

// memoryLimit is how much memory the server may keep in a container of so much.
func memoryLimit(container uint64) int64 {
	return int64(min(max(container/memoryShare, leastMemory), mostMemory))
}

// containerMemory is the limit of the container; a very big one if there is none.
func containerMemory() uint64 {
	group, err := cgroup.Self()
	if err != nil {
		return math.MaxUint64
	}
	limit, err := group.Limit()
	if err != nil {
		return math.MaxUint64
	}
	return limit
}

// processorTime that this process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
