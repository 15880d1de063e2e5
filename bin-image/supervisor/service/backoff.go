package service

import (
	"math"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before a service is started again.
//
// The first failure costs nothing: what ran well is started again at once. Each
// further one doubles the wait from Min to Max. Running makes good: a run of
// Heal repays everything, a shorter one in proportion, so that ten crashes in a
// month are ten first failures, and ten in a row are not. It never gives up; a
// container that is given up takes the user's processes with it.
type Backoff struct {
	Min, Max, Heal time.Duration
	// Jitter is the part of the wait that is random, 0 to 1, so that services
	// which died together do not start together.
	Jitter float64

	failures float64
}

// DefaultBackoff of the services.
func DefaultBackoff() Backoff {
	return Backoff{Min: 100 * time.Millisecond, Max: 15 * time.Second, Heal: time.Minute, Jitter: 0.3}
}

// exhausted is how many failures the budget holds: those until Max is reached.
func (b *Backoff) exhausted() float64 {
	return 2 + math.Ceil(math.Log2(float64(b.Max)/float64(b.Min)))
}

// Failed notes a failure after a run of that length and returns the wait.
func (b *Backoff) Failed(ran time.Duration) time.Duration {
	b.Ran(ran)
	b.failures = min(b.failures+1, b.exhausted())
	if b.failures < 1.5 {
		return 0
	}
	wait := min(float64(b.Max), float64(b.Min)*math.Exp2(b.failures-2))
	return time.Duration(wait * (1 - b.Jitter*rand.Float64()))
}

// Ran notes a run that did not end in failure.
func (b *Backoff) Ran(d time.Duration) {
	repaid := b.exhausted() * float64(d) / float64(b.Heal)
	b.failures = max(0, b.failures-repaid)
}

// Exhausted says that the service has failed so often in a row that the longest
// wait is reached.
func (b *Backoff) Exhausted() bool { return b.failures >= b.exhausted() }
