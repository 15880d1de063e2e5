//go:build linux

package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFoldersMadeAgain makes and removes the same nested folder by turns on both
// sides: what is announced of a folder that comes back is the folder too.
func TestFoldersMadeAgain(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	for i := range 10 {
		from, to := p.near, p.far
		if i%2 == 1 {
			from, to = to, from
		}
		from.write(t, "a/b/c/file.txt", "content")
		eventually(t, "the file", func() bool { return to.has("a/b/c/file.txt", "content") })
		if err := os.RemoveAll(from.path("a")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the removal", func() bool { return to.lacks("a") })
	}
	p.equalTrees()
}

// TestDirectoryMadeAgainAtOnce removes a full directory and makes it again, empty
// or as a file, before anybody can look: what was in it is gone.
func TestDirectoryMadeAgainAtOnce(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	p.near.write(t, "stays", "x")
	p.startBoth()
	for i := range 20 {
		from, to := p.near, p.far
		if i%2 == 1 {
			from, to = to, from
		}
		from.write(t, "dir/file", "x")
		eventually(t, "the file", func() bool { return to.has("dir/file", "x") })
		if err := os.Rename(from.path("dir"), filepath.Join(t.TempDir(), "away")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(from.path("dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the file's removal", func() bool { return to.lacks("dir/file") })
	}
	p.equalTrees()
}
