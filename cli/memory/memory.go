// Package memory gives memory back to the laptop that a long-lived process used for
// a while: to start, to transfer many files. The runtime alone returns only what is
// above the goal of its next collection, which a quiet process never comes to.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// interval between two looks.
	interval = 10 * time.Second
	// quiet is how many bytes a process without work allocates in an interval, at
	// most: what it takes to ask whether the other side is alive.
	quiet = 1 << 20
)

// ReturnWhenQuiet returns unused memory each time that the process has become
// quiet, until ctx ends.
func ReturnWhenQuiet(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	w := watcher{free: debug.FreeOSMemory}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(allocated())
		}
	}
}

// watcher finds the moments between work and none.
type watcher struct {
	before uint64
	// freed is whether memory was returned since the last work.
	freed bool
	free  func()
}

// look takes the bytes that were allocated since the process began.
func (w *watcher) look(total uint64) {
	busy := total-w.before > quiet
	w.before = total
	switch {
	case busy:
		w.freed = false
	case !w.freed:
		w.freed = true
		w.free()
	}
}

func allocated() uint64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}
