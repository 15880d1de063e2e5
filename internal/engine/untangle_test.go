//go:build linux

package engine

import (
	"errors"
	"os"
	"testing"
)

// TestFileAgainstDirectory puts a file in the place of a directory on one side,
// and a file into that directory on the other, while both are apart.
func TestFileAgainstDirectory(t *testing.T) {
	for _, first := range []string{"file", "directory"} {
		t.Run(first+" first", func(t *testing.T) {
			p, line := breakable(t, nil)
			p.near.write(t, "dir/old", "old")
			eventually(t, "start", func() bool { return p.far.has("dir/old", "old") })
			apart(p, line)
			toFile := func() {
				if err := errors.Join(os.RemoveAll(p.near.path("dir")), os.WriteFile(p.near.path("dir"), []byte("a file"), 0o644)); err != nil {
					t.Fatal(err)
				}
				if err := p.near.Flush(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			if first == "file" {
				toFile()
			}
			p.far.write(t, "dir/new", "new")
			if err := p.far.Flush(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if first != "file" {
				toFile()
			}
			together(p, line)
			for _, e := range []*end{p.near, p.far} {
				eventually(t, "what was put into the directory", func() bool { return e.has("dir/new", "new") })
				eventually(t, "the file, as a conflict copy", func() bool {
					copies := e.Conflicts(testFolder)
					return len(copies) == 1 && e.has(copies[0], "a file")
				})
			}
			p.settled()
			p.equalTrees()
		})
	}
}
