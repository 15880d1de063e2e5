//go:build linux

package engine

import (
	"os"
	"testing"
	"time"
)

// TestLoopRests asks how long the loop sleeps when nothing can be done yet: a
// loop that does not sleep then takes a processor.
func TestLoopRests(t *testing.T) {
	in, _ := testIntake()
	r := &folderRunner{in: in}
	now := time.Now()
	past, later := now.Add(-time.Minute), now.Add(time.Hour)
	for name, test := range map[string]struct {
		state  scanState
		rescan time.Time
		held   bool
		least  time.Duration
	}{
		"nothing to do":                        {scanState{}, time.Time{}, false, time.Minute},
		"rescan later":                         {scanState{}, now.Add(time.Minute), false, 30 * time.Second},
		"rescan due, but the folder in error":  {scanState{full: true, fullAt: now.Add(time.Minute)}, past, false, 30 * time.Second},
		"rescan due, while a scan is running":  {scanState{full: true, fullAt: past, running: true}, past, false, 30 * time.Second},
		"scan running, with more to do":        {scanState{running: true}, later, false, time.Minute},
		"held back by files that are written":  {scanState{}, time.Time{}, true, heldPoll / 2},
		"held back by removals that may go on": {scanState{burst: true}, time.Time{}, false, heldPoll / 2},
	} {
		if got := r.wait(&test.state, now, test.rescan, test.held); got < test.least {
			t.Errorf("%s: sleeps %v, want %v at least", name, got, test.least)
		}
	}
}

// TestRootComesBack removes the root under a running engine and makes it again:
// nothing is deleted on the other side, and the folder says what is wrong.
func TestRootComesBack(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for i := range 30 {
		p.near.write(t, "dir/"+string(rune('a'+i)), "x")
	}
	p.startBoth()
	p.equalTrees()
	if err := os.Rename(p.near.dir, p.near.dir+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason", func() bool { return p.near.Status().Folders[0].Error != "" })
	if err := os.Rename(p.near.dir+".away", p.near.dir); err != nil {
		t.Fatal(err)
	}
	p.near.write(t, "after", "x")
	eventually(t, "life goes on", func() bool { return p.far.has("after", "x") })
	p.equalTrees()
}
