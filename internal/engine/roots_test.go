//go:build linux

package engine

import (
	"fmt"
	"os"
	"testing"
)

// TestFolderIsAnotherDirectory has one side's folder moved to another directory by the
// configuration, with other files or none: that is no deletion of what was in the
// first one.
func TestFolderIsAnotherDirectory(t *testing.T) {
	for _, near := range []bool{true, false} {
		t.Run(fmt.Sprintf("near=%v", near), func(t *testing.T) {
			p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = near })
			const files = 3 // fewer than the guard looks at
			for i := range files {
				p.near.write(t, fmt.Sprintf("dir/%d", i), "precious")
			}
			p.startBoth()
			p.equalTrees()
			moving, staying := p.far, p.near
			if near {
				moving, staying = p.near, p.far
			}
			moving.stop()
			old := moving.dir
			moving.dir += ".other"
			if err := os.Mkdir(moving.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			moving.write(t, "of its own", "x")
			p.start(near)
			eventually(t, "what was only there", func() bool { return staying.has("of its own", "x") })
			p.settled()
			p.equalTrees()
			for i := range files {
				if name := fmt.Sprintf("dir/%d", i); !staying.has(name, "precious") || !moving.has(name, "precious") {
					t.Errorf("%s is gone", name)
				}
			}
			// Started again there, it is the same folder.
			moving.stop()
			if err := os.Remove(moving.path("dir/0")); err != nil {
				t.Fatal(err)
			}
			p.start(near)
			eventually(t, "a removal while it was away", func() bool { return staying.lacks("dir/0") })
			if _, err := os.Stat(old); err != nil {
				t.Errorf("the first directory: %v", err)
			}
		})
	}
}
