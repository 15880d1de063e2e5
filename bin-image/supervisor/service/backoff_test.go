package service

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := DefaultBackoff()
	if got := b.Failed(0); got != 0 {
		t.Errorf("the first failure waits %s", got)
	}
	previous := time.Duration(0)
	for i := range 20 {
		got := b.Failed(100 * time.Millisecond)
		if got > b.Max || float64(got) < float64(min(b.Max, b.Min<<min(i, 10)))*(1-b.Jitter)*0.6 {
			t.Errorf("failure %d waits %s", i+2, got)
		}
		if float64(got) < float64(previous)*(1-b.Jitter) {
			t.Errorf("failure %d waits %s after %s", i+2, got, previous)
		}
		previous = got
	}
	if !b.Exhausted() {
		t.Error("the budget lasts for ever")
	}
	if got := b.Failed(time.Minute); got != 0 {
		t.Errorf("a good run repays the budget, yet the next failure waits %s", got)
	}
	// Ten crashes in a month are ten first failures.
	for range 10 {
		if got := b.Failed(72 * time.Hour); got != 0 {
			t.Errorf("a rare failure waits %s", got)
		}
	}
}

func TestBackoffRepaysInProportion(t *testing.T) {
	b := DefaultBackoff()
	for range 30 {
		b.Failed(0)
	}
	full := b.failures
	b.Ran(30 * time.Second)
	if got := full - b.failures; got < full*0.45 || got > full*0.55 {
		t.Errorf("half of Heal repays %.1f of %.1f", got, full)
	}
}

func TestBackoffIsSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		b := DefaultBackoff()
		b.Failed(0)
		b.Failed(0)
		seen[b.Failed(0)] = true
	}
	if len(seen) < 10 {
		t.Errorf("twenty services wait only %d different times", len(seen))
	}
}
