package service

import "time"

// killWindow is the least time for which a kill for memory is taken to be what has
// ended the service.
const killWindow = 5 * time.Second

// kills remembers the kernel's count of processes that it killed for memory as it
// was a short while ago. The count is the container's: what of it rose hours before
// the end of a service was somebody else.
type kills struct {
	count  func() (uint64, error) // nil where it is not known
	window time.Duration

	older, newer uint64
	at           time.Time // of newer
}

// start of a run.
func (k *kills) start() {
	k.newer = k.now(0)
	k.older, k.at = k.newer, time.Now()
}

// note the count, if the window has passed since the last time.
func (k *kills) note() {
	if time.Since(k.at) < k.window {
		return
	}
	// What is newer may have been noted after the kill and before the end.
	k.older, k.newer, k.at = k.newer, k.now(k.newer), time.Now()
}

// risen says that a process was killed lately.
func (k *kills) risen() bool { return k.now(k.older) > k.older }

func (k *kills) now(unknown uint64) uint64 {
	if k.count == nil {
		return unknown
	}
	n, err := k.count()
	if err != nil {
		return unknown
	}
	return n
}
