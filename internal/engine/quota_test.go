//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// quotaDir is a directory in which a quota of some MiB holds; the disk has more.
func quotaDir(t *testing.T, limit string) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	sub := filepath.Join(dir, "limited")
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	for _, command := range [][]string{
		{"truncate", "-s", "256M", image},
		{"mkfs.btrfs", "-q", image},
		{"mount", "-o", "loop", image, dir},
		{"btrfs", "quota", "enable", dir},
		{"btrfs", "subvolume", "create", sub},
		{"btrfs", "qgroup", "limit", limit, sub},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("needs root, btrfs in the kernel and its programs (Debian: btrfs-progs): %s: %v: %s", command[0], err, out)
		}
	}
	return sub
}

// fillQuota writes until the quota is used up, and returns what frees it.
func fillQuota(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := 1 << 20; chunk > 0; chunk /= 4 {
		for err = nil; err == nil; {
			if _, err = file.Write(make([]byte, chunk)); err == nil {
				err = file.Sync()
			}
		}
		if !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	file.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		syscall.Sync() // a quota is counted when it is written
	}
}

// TestQuotaIsNamedAndHeals has the quota of the pod's folder used up: the file and the
// reason are named, the other direction goes on, and it heals.
func TestQuotaIsNamedAndHeals(t *testing.T) {
	p := newPair(t, nil)
	p.far.dir = filepath.Join(quotaDir(t, "12M"), "tree")
	if err := os.Mkdir(p.far.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.startBoth()
	free := fillQuota(t, filepath.Dir(p.far.dir))
	p.near.write(t, "big", strings.Repeat("b", 4<<20))
	eventually(t, "the file and the reason", func() bool {
		f := p.far.Status().Folders[0]
		return f.ErrorCount > 0 && f.Errors[0].Path == "big" && strings.Contains(f.Errors[0].Err, "quota")
	})
	if err := os.Mkdir(p.near.path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	free()
	eventually(t, "the file", func() bool { return p.far.has("big", strings.Repeat("b", 4<<20)) })
	p.settled()
	p.equalTrees()
	if f := p.far.Status().Folders[0]; f.ErrorCount > 0 {
		t.Errorf("errors: %v", f.Errors)
	}
}

// TestQuotaUnderTheDatabase has the quota of the database's disk used up, which shows
// only when it is written: the engine ends in order each time, and loses nothing.
func TestQuotaUnderTheDatabase(t *testing.T) {
	p := newPair(t, nil)
	p.near.home = filepath.Join(quotaDir(t, "12M"), "home")
	if err := os.Mkdir(p.near.home, 0o700); err != nil {
		t.Fatal(err)
	}
	p.start(false)
	e, err := New(p.config(true))
	if err != nil {
		t.Fatal(err)
	}
	p.near.Engine = e
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(t.Context()) }()
	p.settled()
	free := fillQuota(t, filepath.Dir(p.near.home))
	for i := range 200 {
		p.near.write(t, fmt.Sprintf("near/%d", i), strings.Repeat("x", 1000))
	}
	syscall.Sync()
	p.near.write(t, "last", strings.Repeat("x", 1000))
	if err := <-ended; !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("ended with %v", err)
	}
	free()
	p.start(true)
	p.settled()
	p.equalTrees()
	if !p.far.has("near/199", strings.Repeat("x", 1000)) {
		t.Error("files are gone")
	}
}
