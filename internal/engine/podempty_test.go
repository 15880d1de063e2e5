//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPodComesBackEmpty has the pod come back without its files: with its database,
// without it, and while the laptop has lost its own. The laptop loses nothing, and
// the pod gets everything again, or stops and says why.
func TestPodComesBackEmpty(t *testing.T) {
	for _, test := range []struct {
		name              string
		podLost, nearLost bool
		stops             bool
	}{
		{"database kept", false, false, true},
		{"database lost", true, false, false},
		{"both databases lost", true, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
			for i := range 30 {
				p.near.write(t, fmt.Sprintf("src/%d", i), "precious")
			}
			p.startBoth()
			p.equalTrees()
			p.far.stop()
			if test.nearLost {
				p.near.stop()
				if err := ResetDatabase(p.near.home); err != nil {
					t.Fatal(err)
				}
			}
			entries, err := os.ReadDir(p.far.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if err := os.RemoveAll(filepath.Join(p.far.dir, entry.Name())); err != nil {
					t.Fatal(err)
				}
			}
			if test.podLost {
				if err := os.RemoveAll(p.far.home); err != nil {
					t.Fatal(err)
				}
			}
			p.start(false)
			if test.nearLost {
				p.start(true)
			}
			if test.stops {
				eventually(t, "stop", func() bool { return p.far.Status().Folders[0].State == "stopped" })
			} else {
				eventually(t, "the pod's files again", func() bool { return p.far.has("src/29", "precious") })
				p.equalTrees()
			}
			for i := range 30 {
				if !p.near.has(fmt.Sprintf("src/%d", i), "precious") {
					t.Fatalf("the laptop lost src/%d", i)
				}
			}
		})
	}
}
