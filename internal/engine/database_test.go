//go:build linux

package engine

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/syncthing/syncthing/lib/locations"
)

// TestDatabaseIsKept over everything that keeps it from being opened and is not its
// fault: the library's error does not tell, and a new database forgets what was
// deleted where.
func TestDatabaseIsKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	p := newPair(t, nil)
	if err := os.Mkdir(p.far.home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", p.far.home, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		p.far.stop()
		_ = syscall.Unmount(p.far.home, 0)
	})
	p.near.write(t, "file", "x")
	p.startBoth()
	eventually(t, "the file", func() bool { return p.far.has("file", "x") })
	refused := func(why string) {
		t.Helper()
		if e, err := New(p.config(false)); err == nil {
			e.Close()
			t.Errorf("%s: it starts", why)
		} else {
			t.Logf("%s: %v", why, err)
		}
		if _, err := os.Stat(filepath.Join(p.far.home, locations.LevelDBDir+brokenSuffix)); err == nil {
			t.Errorf("%s: the database was set aside", why)
		}
	}
	refused("another engine has it open")
	p.far.stop()
	filler := filepath.Join(p.far.home, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	refused("the disk is full")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.start(false)
	p.near.write(t, "after", "x")
	eventually(t, "a file after that", func() bool { return p.far.has("after", "x") })
}
