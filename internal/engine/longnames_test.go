//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestLongNames has files whose names leave no room for what the trash and conflict
// copies add to them saved on both sides, in conflict, and removed.
func TestLongNames(t *testing.T) {
	for where, mount := range map[string]bool{"trash on the same disk": false, "trash on another disk": true} {
		t.Run(where, func(t *testing.T) {
			p, line := breakable(t, func(_ bool, c *Config) { c.Folders[0].MaxConflicts = -1 })
			trash := filepath.Join(p.near.home, "trash")
			if err := os.MkdirAll(trash, 0o700); err != nil {
				t.Fatal(err)
			}
			if mount {
				mountTmpfs(t, trash, "8m")
			}
			for _, length := range []int{longestName, longestName - 12, longestName - 30} {
				name := strings.Repeat("n", length-4) + ".txt"
				p.near.write(t, name, "one")
				eventually(t, "a file", func() bool { return p.far.has(name, "one") })
				p.far.write(t, name, "two")
				eventually(t, "its change", func() bool { return p.near.has(name, "two") })
				apart(p, line)
				p.near.write(t, name, "older")
				older := time.Now().Add(-time.Hour)
				if err := os.Chtimes(p.near.path(name), older, older); err != nil {
					t.Fatal(err)
				}
				p.far.write(t, name, "newer")
				for _, e := range []*end{p.near, p.far} {
					if err := e.Flush(t.Context(), ""); err != nil {
						t.Fatal(err)
					}
				}
				together(p, line)
				for _, e := range []*end{p.near, p.far} {
					eventually(t, "the newer one, and a copy", func() bool {
						copies := e.Conflicts(testFolder)
						return e.has(name, "newer") && slices.ContainsFunc(copies, func(c string) bool { return strings.HasSuffix(c, ".txt") && e.has(c, "older") })
					})
				}
				for _, c := range p.near.Conflicts(testFolder) {
					if err := os.Remove(p.near.path(c)); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Remove(p.far.path(name)); err != nil {
					t.Fatal(err)
				}
				eventually(t, "its removal", func() bool { return p.near.lacks(name) })
				p.equalTrees()
				kept := contents(t, trash, "*")
				for _, content := range []string{"one", "newer"} {
					if !slices.Contains(kept, content) {
						t.Errorf("of %d bytes: %q is not in the trash, which has %q", length, content, kept)
					}
				}
				if err := os.RemoveAll(p.near.path(name)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestShorten(t *testing.T) {
	for _, name := range []string{"short.go", strings.Repeat("é", 127), strings.Repeat("a", 250) + ".go", strings.Repeat("b", 100) + "." + strings.Repeat("x", 154)} {
		for _, length := range []int{200, 239, 255} {
			got := shorten(name, length)
			if len(got) > length || !utf8.ValidString(got) || (len(name) <= length) != (got == name) || got == shorten("x"+name, length) {
				t.Errorf("%d bytes to %d: %q", len(name), length, got)
			}
		}
	}
	long := fmt.Sprintf("dir/%s%s20260101-000000-AAAAAAA.go", strings.Repeat("c", 240), conflictMark)
	if got := fitConflictName(long); len(filepath.Base(got)) > longestName || filepath.Dir(got) != "dir" || !strings.HasSuffix(got, conflictMark+"20260101-000000-AAAAAAA.go") {
		t.Errorf("conflict copy: %q", got)
	}
}
