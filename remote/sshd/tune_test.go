package sshd

import (
	"context"
	"math"
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

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for container, want := range map[uint64]int64{
		32 * mib: 24 * mib, 256 * mib: 32 * mib, 512 * mib: 64 * mib, 1024 * mib: 128 * mib, math.MaxUint64: 128 * mib,
	} {
		if got := memoryLimit(container); got != want {
			t.Errorf("in a container of %d MiB: %d MiB, want %d", container/mib, got/mib, want/mib)
		}
	}
}
