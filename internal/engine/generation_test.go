//go:build linux

package engine

import (
	"os"
	"testing"
	"time"
)

// TestVersionsOfALostDatabase has the pod make a file again, with another content,
// after its files and its database are gone, and after the file had been changed so
// often that its count was ahead of the time.
func TestVersionsOfALostDatabase(t *testing.T) {
	for name, changes := range map[string]int{"in the same second": 1, "count ahead of the time": 12} {
		t.Run(name, func(t *testing.T) {
			p, line := breakable(t, nil)
			for i := range changes {
				p.far.write(t, "log", time.Now().String()+string(rune('a'+i)))
				if err := p.far.Flush(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			p.settled()
			p.equalTrees()
			before, err := os.ReadFile(p.near.path("log"))
			if err != nil {
				t.Fatal(err)
			}
			apart(p, line)
			p.far.stop()
			if err := os.RemoveAll(p.far.home); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(p.far.path("log")); err != nil {
				t.Fatal(err)
			}
			p.far.write(t, "log", "the new pod's own")
			p.start(false)
			together(p, line)
			for _, e := range []*end{p.near, p.far} {
				eventually(t, "the new pod's file, and the other one beside it", func() bool {
					copies := e.Conflicts(testFolder)
					return e.has("log", "the new pod's own") && len(copies) == 1 && e.has(copies[0], string(before))
				})
			}
			p.settled()
			p.equalTrees()
		})
	}
}

// TestEachDatabaseCountsUnderAName keeps the name over restarts.
func TestEachDatabaseCountsUnderAName(t *testing.T) {
	p := newPair(t, nil)
	name := func() uint64 {
		e, err := New(p.config(false))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		id, err := shortIDOf(e.model)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(*id)
	}
	first := name()
	if again := name(); again != first {
		t.Errorf("%x after a restart, and it was %x", again, first)
	}
	if err := ResetDatabase(p.far.home); err != nil {
		t.Fatal(err)
	}
	if other := name(); other == first {
		t.Errorf("a new database counts as the old one did: %x", other)
	}
}
