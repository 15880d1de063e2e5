package sync

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	type step struct {
		crossed, need int64
	}
	for _, c := range []struct {
		name  string
		steps []step // one second apart
		rate  float64
		eta   time.Duration
	}{
		{"nothing yet", []step{{0, 100}}, 0, 0},
		{"what is needed crosses", []step{{0, 100}, {10, 90}, {20, 80}}, 10, 8 * time.Second},
		{"what is needed is there, and only compared", []step{{0, 100}, {0, 75}, {1, 50}}, 0.5, 2 * time.Second},
		{"it goes on without anything being done", []step{{0, 100}, {1, 100}}, 1, 0},
		{"more is needed than before", []step{{0, 100}, {10, 200}}, 10, 0},
		{"as good as never", []step{{0, 1 << 50}, {1, 1<<50 - 1}}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r rate
			start := time.Now()
			var perSecond float64
			var eta time.Duration
			for i, s := range c.steps {
				perSecond, eta = r.add(start.Add(time.Duration(i)*time.Second), s.crossed, s.need)
			}
			if perSecond != c.rate || eta != c.eta {
				t.Errorf("%v a second and %v to go, want %v and %v", perSecond, eta, c.rate, c.eta)
			}
		})
	}
}
