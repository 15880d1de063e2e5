//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/protocol"
)

// TestBinaryBuiltAgainAndAgain deletes and makes the same file anew, as a build in
// the pod does, while it is synchronized: it never ends the synchronization.
func TestBinaryBuiltAgainAndAgain(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	last := ""
	for i := range 200 {
		last = fmt.Sprint(i, strings.Repeat("b", 20_000+i))
		if err := os.Remove(p.far.path("bin/app")); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		p.far.write(t, "bin/app", last)
	}
	eventually(t, "the last build", func() bool { return p.near.has("bin/app", last) })
	p.settled()
	p.equalTrees()
}

// TestBothMakeAFile of one name while they are apart: the newest keeps the name by
// itself, the other is kept beside it, and nothing is left to do.
func TestBothMakeAFile(t *testing.T) {
	p, line := breakable(t, nil)
	apart(p, line)
	p.near.write(t, "new.txt", "the laptop's")
	p.far.write(t, "new.txt", "the pod's")
	newer := time.Now().Add(2 * time.Second)
	if err := os.Chtimes(p.near.path("new.txt"), newer, newer); err != nil {
		t.Fatal(err)
	}
	together(p, line)
	for _, e := range []*end{p.near, p.far} {
		eventually(t, "the newest", func() bool { return e.has("new.txt", "the laptop's") })
		eventually(t, "the other beside it", func() bool {
			copies := e.Conflicts(testFolder)
			return len(copies) == 1 && e.has(copies[0], "the pod's")
		})
	}
	p.settled()
	p.equalTrees()
}

// TestDeadWatcherIsNoticed has a watcher that is up and never reports: the next
// full scan finds what it has missed, and starts it anew.
func TestDeadWatcherIsNoticed(t *testing.T) {
	p := newPair(t, func(near bool, c *Config) {
		if near {
			c.Folders[0].RescanInterval = 500 * time.Millisecond
		}
	})
	p.start(false)
	e, err := New(p.config(true))
	if err != nil {
		t.Fatal(err)
	}
	r := e.folders[testFolder]
	real, dead := r.source, make(chan struct{})
	r.source = func(ctx context.Context, root string, limit int, target watchTarget, ready watchReady) error {
		select {
		case <-dead:
			return real(ctx, root, limit, target, ready)
		default:
		}
		ready(1, nil)
		<-ctx.Done()
		close(dead)
		return ctx.Err()
	}
	p.near.Engine = e
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	p.settled()
	p.near.write(t, "unseen", "x")
	eventually(t, "what nobody reported", func() bool { return p.far.has("unseen", "x") })
	<-dead
	p.near.write(t, "seen", "x")
	eventually(t, "the next file", func() bool { return p.far.has("seen", "x") })
}

// TestModesSurviveASideWithout edits a script on a side that knows no modes.
func TestModesSurviveASideWithout(t *testing.T) {
	p := newPair(t, nil)
	p.configure = func(near bool, c *Config) {
		if !near { // as config.xml may say
			raw := config.FolderConfiguration{IgnorePerms: true, AutoNormalize: true, FilesystemType: config.FilesystemTypeBasic}
			for _, cert := range []string{deviceOf(p.nearC), deviceOf(p.farC)} {
				id, err := protocol.DeviceIDFromString(cert)
				if err != nil {
					t.Fatal(err)
				}
				raw.Devices = append(raw.Devices, config.FolderDeviceConfiguration{DeviceID: id})
			}
			c.Folders[0].raw = &raw
		}
	}
	p.near.write(t, "script", "#!/bin/sh\n")
	p.near.write(t, "secret", "s")
	if err := errors.Join(os.Chmod(p.near.path("script"), 0o755), os.Chmod(p.near.path("secret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.startBoth()
	eventually(t, "the script", func() bool { return p.far.has("script", "#!/bin/sh\n") && p.far.has("secret", "s") })
	for _, name := range []string{"script", "secret"} {
		p.far.write(t, name, "edited "+name)
		eventually(t, "the edit of "+name, func() bool { return p.near.has(name, "edited "+name) })
	}
	for name, want := range map[string]os.FileMode{"script": 0o755, "secret": 0o600} {
		info, err := os.Stat(p.near.path(name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// TestManyIdenticalFiles has thousands of files with the same two bytes.
func TestManyIdenticalFiles(t *testing.T) {
	const files = 2000
	p := newPair(t, nil)
	for i := range files {
		p.near.write(t, fmt.Sprintf("d%d/%d", i%20, i), "{}")
	}
	p.startBoth()
	p.equalTrees()
	if size := treeBytes(p.near.home) + treeBytes(p.far.home); size > files*4<<10 {
		t.Errorf("the databases have %d bytes for %d files of two", size, files)
	}
}

// TestAnEditCostsOneFile counts what a save makes the engine look at: it must not
// grow with the tree.
func TestAnEditCostsOneFile(t *testing.T) {
	const files, saves = 1000, 20
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].ID, c.Folders[0].GuardRoot = "okteto-cost", true })
	for i := range files {
		p.near.write(t, fmt.Sprintf("d%d/%d", i%10, i), "x")
	}
	p.startBoth()
	eventually(t, "start", func() bool { return p.far.has(fmt.Sprintf("d%d/%d", files%10, files-10), "x") })
	p.settled()
	before := scannedItems(t, "okteto-cost")
	for i := range saves {
		p.near.write(t, "d1/1", fmt.Sprint("save ", i))
		eventually(t, "save", func() bool { return p.far.has("d1/1", fmt.Sprint("save ", i)) })
	}
	if n := scannedItems(t, "okteto-cost") - before; n > 4*saves {
		t.Errorf("%v items were scanned for %d saves among %d files", n, saves, files)
	}
}

func scannedItems(t *testing.T, folder string) float64 {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "syncthing_scanner_scanned_items_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "folder" && label.GetValue() == folder {
					return metric.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatal("the library does not count what it scans")
	return 0
}

// TestScansTakeASmallShare where changes cannot be watched.
func TestScansTakeASmallShare(t *testing.T) {
	e := &Engine{cfg: Config{Watch: WatchOptions{}.withDefaults()}}
	r := &folderRunner{e: e, state: WatchState{Mode: "scans"}}
	now := time.Now()
	for took, least := range map[time.Duration]time.Duration{0: 2 * time.Second, time.Second: 20 * time.Second} {
		r.took = took
		if next := r.nextRescan(now); next.Sub(now) < least {
			t.Errorf("a scan that takes %v is repeated after %v", took, next.Sub(now))
		}
	}
}

// TestSparseFileStaysSparse sends a file that is nearly all hole. It has 4 GiB and a
// byte with OKTETO_TEST_FULL=1: hashing that takes long.
func TestSparseFileStaysSparse(t *testing.T) {
	size := int64(128<<20 + 1)
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		size = 4<<30 + 1
	}
	p := newPair(t, nil)
	p.startBoth()
	file, err := os.Create(p.near.path("disk.img.part"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte("in the middle"), size/2)
	if err := errors.Join(err, file.Truncate(size), file.Close(), os.Rename(p.near.path("disk.img.part"), p.near.path("disk.img"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sparse file", func() bool {
		info, err := os.Stat(p.far.path("disk.img"))
		return err == nil && info.Size() == size
	})
	got, err := os.Open(p.far.path("disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	text := make([]byte, 13)
	if _, err := got.ReadAt(text, size/2); err != nil && !errors.Is(err, io.EOF) || string(text) != "in the middle" {
		t.Errorf("in the middle: %q, %v", text, err)
	}
	info, err := got.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// A block of the engine is 16 MiB at most.
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 32<<20 {
		t.Errorf("%d bytes are written of %d", used, size)
	}
}

// TestReadOnlyDirectoryIsNamedAndHeals has one directory in the pod that cannot be
// written to: its file is named with the reason, the rest goes on.
func TestReadOnlyDirectoryIsNamedAndHeals(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "config/settings", "one")
	p.startBoth()
	eventually(t, "start", func() bool { return p.far.has("config/settings", "one") })
	dir := p.far.path("config")
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	p.near.write(t, "config/settings", "two")
	p.near.write(t, "other", "goes on")
	eventually(t, "the reason, and the rest", func() bool {
		f := p.far.Status().Folders[0]
		return p.far.has("other", "goes on") && f.ErrorCount == 1 && f.Errors[0].Path == filepath.Join("config", "settings") &&
			strings.Contains(f.Errors[0].Err, "read-only")
	})
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file once it can be written", func() bool { return p.far.has("config/settings", "two") })
	eventually(t, "no error is left", func() bool { return p.far.Status().Folders[0].ErrorCount == 0 })
}
