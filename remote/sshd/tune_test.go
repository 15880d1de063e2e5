package sshd

import (
	"context"
	"runtime"
	"testing"
	"time"
)

func awaitProcessors(t *testing.T, what string, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); runtime.GOMAXPROCS(0) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d processors, want %d", what, runtime.GOMAXPROCS(0), want)
		}
	}
}

// TestProcessorsFollowTheLoad shows that a quiet server uses one processor, that
// a transfer has half of them at once, and that the end puts them back.
func TestProcessorsFollowTheLoad(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "")
	l := newLoad()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.tune(ctx)
	}()
	defer func() {
		cancel()
		<-done
		awaitProcessors(t, "after the end", 4)
	}()
	l.add(1)
	awaitProcessors(t, "quiet", 1)
	l.add(wideBytes + 1)
	awaitProcessors(t, "a transfer", 2)
	awaitProcessors(t, "quiet again", 1)
}

func TestProcessorsOfTheEnvironmentStay(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	before := runtime.GOMAXPROCS(0)
	newLoad().narrowDown()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d processors, want %d", got, before)
	}
}
