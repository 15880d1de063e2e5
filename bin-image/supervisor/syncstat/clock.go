package syncstat

import "time"

// clock estimates how far the laptop's clock is off, from one-way delays.
//
// A save on the laptop carries the laptop's time (the file's modification time),
// its arrival the pod's. The difference is delay plus offset, and no single
// difference tells them apart. But a change that travels from the pod and is
// acknowledged is timed by the pod's clock alone, and covers the way in both
// directions: no way into the pod is quicker than zero, and the quickest one is
// not much slower than the quickest there and back. So the smallest difference
// of late is believed while it lies within those bounds, and taken for offset
// where it does not.
type clock struct {
	oneWay  window // to the pod, offset included
	return_ window // to the laptop and acknowledged
}

// samplesKept of each kind: a clock that is set right shows within as many saves.
const samplesKept = 32

// toleranceOneWay by which the quickest way to the pod may exceed the quickest
// there and back: file systems and schedulers differ.
const toleranceOneWay = 100 * time.Millisecond

// offset of the pod's clock against the laptop's.
func (c *clock) offset() time.Duration {
	least, known := c.oneWay.min()
	if !known {
		return 0
	}
	back, acknowledged := c.return_.min()
	switch {
	case least < 0:
		// The laptop's clock is ahead by at least that much.
		return least - back/2
	case acknowledged && least > 2*back+toleranceOneWay:
		return least - back/2
	default:
		return 0
	}
}

// window keeps the latest samples.
type window struct {
	samples [samplesKept]time.Duration
	count   int
}

func (w *window) add(d time.Duration) {
	w.samples[w.count%samplesKept] = d
	w.count++
}

func (w *window) min() (time.Duration, bool) {
	if w.count == 0 {
		return 0, false
	}
	least := w.samples[0]
	for _, d := range w.samples[:min(w.count, samplesKept)] {
		least = min(least, d)
	}
	return least, true
}
