package memory

import (
	"testing"
)

func TestMemoryIsReturnedOncePerRest(t *testing.T) {
	var freed int
	w := watcher{free: func() { freed++ }}
	total := uint64(0)
	for i, step := range []struct {
		allocated uint64
		want      int
	}{
		{50 << 20, 0}, // the start
		{quiet / 10, 1},
		{quiet / 10, 1},
		{quiet, 1},
		{quiet + 1, 1}, // work
		{9 << 20, 1},
		{0, 2},
		{0, 2},
	} {
		total += step.allocated
		if w.look(total); freed != step.want {
			t.Errorf("after step %d it was returned %d times, want %d", i, freed, step.want)
		}
	}
}

var kept []byte

func TestAllocatedCounts(t *testing.T) {
	before := allocated()
	kept = make([]byte, 3*quiet)
	if grown := allocated() - before; grown < 3*quiet {
		t.Errorf("%d bytes were counted of %d", grown, len(kept))
	}
	if n := testing.AllocsPerRun(10, func() { allocated() }); n > 1 {
		t.Errorf("a look allocates %v times", n)
	}
}
