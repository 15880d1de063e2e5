//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	stfs "github.com/syncthing/syncthing/lib/fs"
)

// TestFileInConflictIsNeverAbsent opens a file on both sides all the time while it is
// saved on both while they are apart, and one of them wins.
func TestFileInConflictIsNeverAbsent(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, trash string){
		"trash on the same disk": func(*testing.T, string) {},
		"trash on another disk":  func(t *testing.T, trash string) { mountTmpfs(t, trash, "8m") },
	} {
		t.Run(name, func(t *testing.T) {
			p, line := breakable(t, nil)
			for _, e := range []*end{p.near, p.far} {
				trash := filepath.Join(e.home, "trash")
				if err := os.MkdirAll(trash, 0o700); err != nil {
					t.Fatal(err)
				}
				prepare(t, trash)
			}
			const files = 30
			name := func(i int) string { return fmt.Sprintf("app%d.py", i) }
			both := func(f func(e *end, i int) bool) bool {
				for i := range files {
					if !f(p.near, i) || !f(p.far, i) {
						return false
					}
				}
				return true
			}
			for i := range files {
				p.near.write(t, name(i), "common")
			}
			eventually(t, "start", func() bool { return both(func(e *end, i int) bool { return e.has(name(i), "common") }) })
			apart(p, line)
			older := time.Now().Add(-time.Hour)
			for i := range files {
				p.near.write(t, name(i), "older")
				if err := os.Chtimes(p.near.path(name(i)), older, older); err != nil {
					t.Fatal(err)
				}
				p.far.write(t, name(i), "newer")
			}
			for _, e := range []*end{p.near, p.far} {
				if err := e.Flush(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			var paths []string
			for i := range files {
				paths = append(paths, p.near.path(name(i)))
			}
			absent := watchAbsence(t, paths...)
			together(p, line)
			eventually(t, "the newer ones", func() bool { return both(func(e *end, i int) bool { return e.has(name(i), "newer") }) })
			for _, e := range []*end{p.near, p.far} {
				eventually(t, "a copy of each", func() bool {
					copies := e.Conflicts(testFolder)
					return len(copies) == files && !slices.ContainsFunc(copies, func(c string) bool { return !e.has(c, "older") })
				})
			}
			p.settled()
			if n := absent.Load(); n > 0 {
				t.Errorf("%d times there was no file", n)
			}
			if got := contents(t, filepath.Join(p.near.home, "trash"), "*"); len(got) > 0 {
				t.Errorf("in the trash: %q, and it is in the conflict copy", got)
			}
			for _, c := range p.near.Conflicts(testFolder) {
				info, err := os.Stat(p.near.path(c))
				if err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
					t.Errorf("the copy is not of its own: %v, %v", info, err)
				}
			}
		})
	}
}

// TestConflictMove moves the loser away as the library does: twice when the first time
// came to nothing, over a copy that is there, and with a save in between.
func TestConflictMove(t *testing.T) {
	registerTrash()
	disk, folder, trash := newTestDisk(t)
	first, second := "f.sync-conflict-20260101-000000-AAAAAAA", "f.sync-conflict-20260101-000001-AAAAAAA"
	put(t, filepath.Join(folder, "f"), []byte("loser"))
	put(t, filepath.Join(folder, second), []byte("another loser"))
	var s library
	if err := s.performFinish(disk, "f", second); !errors.Is(err, stfs.ErrExist) {
		t.Errorf("over a copy: %v", err)
	}
	for range 2 {
		if err := s.performFinish(disk, "f", first); err != nil {
			t.Fatal(err)
		}
	}
	if got := contents(t, folder, "f*"); !slices.Equal(got, []string{"loser", "loser", "another loser"}) {
		t.Errorf("before the winner is in place: %q", got)
	}
	put(t, filepath.Join(folder, "save"), []byte("a save in between"))
	if err := os.Rename(filepath.Join(folder, "save"), filepath.Join(folder, "f")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, ".syncthing.f.tmp"), []byte("winner"))
	if err := disk.Rename(".syncthing.f.tmp", "f"); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, folder, "f*"); !slices.Equal(got, []string{"winner", "loser", "another loser"}) {
		t.Errorf("in the folder: %q", got)
	}
	if got := contents(t, trash, "f~*"); !slices.Equal(got, []string{"a save in between"}) {
		t.Errorf("in the trash: %q", got)
	}
	// Elsewhere, as when a file gives way to a link, the loser has one name.
	if err := disk.Rename("f", "f.sync-conflict-20260101-000002-AAAAAAA"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(folder, "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the loser has its name still: %v", err)
	}
}

// library calls as the library's method of this name does.
type library struct{}

//go:noinline
func (library) performFinish(disk stfs.Filesystem, from, to string) error {
	return disk.Rename(from, to)
}
