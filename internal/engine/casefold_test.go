package engine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// caseInsensitive is a directory on a disk that does not tell upper from lower case:
// the usual one of a Mac or of Windows, that of OKTETO_TEST_CASE_DIR, or a disk image
// where the kernel has such a file system.
func caseInsensitive(t *testing.T) string {
	t.Helper()
	if given := os.Getenv("OKTETO_TEST_CASE_DIR"); given != "" {
		dir, err := os.MkdirTemp(given, "test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	dir := t.TempDir()
	if !caseSensitive(dir) {
		return dir
	}
	image := filepath.Join(t.TempDir(), "disk")
	for _, command := range [][]string{
		{"truncate", "-s", "32M", image},
		{"mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no disk here that does not tell upper from lower case: %s: %v: %s", command[0], err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	folded := filepath.Join(dir, "tree")
	if err := os.Mkdir(folded, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chattr", "+F", folded).CombinedOutput(); err != nil {
		t.Skipf("chattr +F: %v: %s", err, out)
	}
	return folded
}

// named reports whether a directory has an entry of exactly this name.
func (e *end) named(name string) bool {
	entries, err := os.ReadDir(filepath.Dir(e.path(name)))
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if entry.Name() == filepath.Base(name) {
			return true
		}
	}
	return false
}

// renameCase renames by case alone. Linux takes that for nothing to do where both names
// are of one file, so it is done in two steps; the name between is never synchronized.
func renameCase(t *testing.T, e *end, from, to string) {
	t.Helper()
	between := e.path(".syncthing.case.tmp")
	if err := errors.Join(os.Rename(e.path(from), between), os.Rename(between, e.path(to))); err != nil {
		t.Fatal(err)
	}
}

// TestCaseInsensitiveLaptop renames by case alone on both sides, and has the pod make
// names that the laptop cannot tell apart.
func TestCaseInsensitiveLaptop(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].MaxConflicts, c.Folders[0].GuardRoot = -1, true })
	p.near.dir = caseInsensitive(t)
	p.near.write(t, "Laptop.txt", "laptop")
	p.near.write(t, "Dir/file", "in a directory")
	p.far.write(t, "Pod.txt", "pod")
	p.startBoth()
	for _, side := range []struct {
		from, to *end
		old, new string
		content  string
	}{
		{p.near, p.far, "Laptop.txt", "LAPTOP.txt", "laptop"},
		{p.far, p.near, "Pod.txt", "POD.txt", "pod"},
		{p.near, p.far, "LAPTOP.txt", "laptop.txt", "laptop"},
		{p.far, p.near, "laptop.txt", "Laptop.TXT", "laptop"},
	} {
		eventually(t, side.old, func() bool { return side.from.named(side.old) && side.to.named(side.old) })
		renameCase(t, side.from, side.old, side.new)
		eventually(t, side.old+" renamed to "+side.new, func() bool {
			return side.to.named(side.new) && !side.to.named(side.old) && side.to.has(side.new, side.content) && side.from.has(side.new, side.content)
		})
		p.settled()
	}
	for _, side := range [][2]*end{{p.near, p.far}, {p.far, p.near}} {
		old, renamed := "Dir", "DIR"
		if side[0] == p.far {
			old, renamed = "DIR", "dir"
		}
		renameCase(t, side[0], old, renamed)
		eventually(t, "directory "+old+" renamed to "+renamed, func() bool {
			return side[1].named(renamed) && side[1].has(renamed+"/file", "in a directory") && !side[1].named(old) && side[0].has(renamed+"/file", "in a directory")
		})
		p.settled()
	}

	// Two names of which the laptop can have one.
	p.far.write(t, "readme", "lower")
	eventually(t, "the first", func() bool { return p.near.has("readme", "lower") })
	p.far.write(t, "README", "upper")
	p.far.write(t, "src/a", "lower")
	eventually(t, "the directory", func() bool { return p.near.has("src/a", "lower") })
	p.far.write(t, "SRC/b", "upper")
	eventually(t, "an error that names both", func() bool {
		f := p.near.Status().Folders[0]
		found := 0
		for _, item := range f.Errors {
			text := item.Path + " " + item.Err
			if strings.Contains(text, "README") && strings.Contains(text, "readme") || strings.Contains(text, "SRC") && strings.Contains(text, "src") {
				found++
			}
		}
		return found >= 2
	})
	kept := func() {
		t.Helper()
		if !p.far.has("readme", "lower") || !p.far.has("README", "upper") || !p.far.has("src/a", "lower") || !p.far.has("SRC/b", "upper") || !p.near.has("readme", "lower") || !p.near.has("src/a", "lower") {
			t.Error("a file is gone or has another content")
		}
	}
	kept()
	// The rest goes on, and an edit does not reach the wrong one.
	p.near.write(t, "other", "x")
	eventually(t, "another file", func() bool { return p.far.has("other", "x") })
	if err := p.near.Scan(t.Context(), testFolder); err != nil {
		t.Fatal(err)
	}
	kept()
	if err := errors.Join(os.Rename(p.far.path("README"), p.far.path("README.upper")), os.Rename(p.far.path("SRC"), p.far.path("src2"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all, once the names differ", func() bool {
		return p.near.has("README.upper", "upper") && p.near.has("src2/b", "upper") && p.near.has("readme", "lower") && p.near.Status().Folders[0].ErrorCount == 0
	})
	p.equalTrees()
}
