//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestNamesGoRound renames a to b, b to c and c to a, again and again, where all have
// one size and one time, as what a build or one tick of the clock makes.
func TestNamesGoRound(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	at := time.Now().Add(-time.Hour)
	for i, e := range []*end{p.near, p.far} {
		other := []*end{p.far, p.near}[i]
		for _, name := range []string{"a", "b", "c"} {
			e.write(t, name, fmt.Sprint("content ", name, i))
			if err := os.Chtimes(e.path(name), at, at); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "start", func() bool { return other.has("c", fmt.Sprint("content c", i)) })
		p.equalTrees()
		for range 10 {
			if err := errors.Join(
				os.Rename(e.path("a"), e.path("t")), os.Rename(e.path("c"), e.path("a")),
				os.Rename(e.path("b"), e.path("c")), os.Rename(e.path("t"), e.path("b")),
			); err != nil {
				t.Fatal(err)
			}
			p.equalTrees()
		}
	}
}
