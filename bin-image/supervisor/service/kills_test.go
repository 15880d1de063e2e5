package service

import (
	"errors"
	"testing"
	"time"
)

func TestKillsOfOthersLongAgo(t *testing.T) {
	count, failing := uint64(7), error(nil)
	k := &kills{count: func() (uint64, error) { return count, failing }, window: time.Hour}
	passed := func() { k.at = k.at.Add(-2 * k.window) }
	want := func(when string, risen bool) {
		t.Helper()
		if k.risen() != risen {
			t.Errorf("%s: risen %v", when, !risen)
		}
	}
	k.start()
	want("at the start", false)
	count++
	k.note() // too early to forget
	want("killed just now", true)
	passed()
	k.note()
	want("killed, and noted before the end", true)
	passed()
	k.note()
	want("killed long ago", false)
	count++
	want("another one", true)
	failing = errors.New("the control group is gone")
	want("unknown", false)
	k.start()
	failing = nil
	k = &kills{window: time.Hour}
	k.start()
	want("where nobody counts", false)
}
