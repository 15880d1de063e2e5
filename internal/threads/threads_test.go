//go:build linux

package threads

import (
	"os"
	"runtime"
	"testing"
)

func count(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

func TestReserve(t *testing.T) {
	const n = 24
	Reserve(n)
	first := count(t)
	if first < n {
		t.Fatalf("%d threads, want %d", first, n)
	}
	runtime.GC()
	Reserve(n) // has them already
	if again := count(t); again < n || again > first+2 {
		t.Errorf("%d threads after the second time, %d before", again, first)
	}
}
