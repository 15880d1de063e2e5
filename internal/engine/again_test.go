package engine

import (
	"os"
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
