//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/syncthing/syncthing/lib/db/backend"
)

// fillDisk leaves nothing of a disk, and returns what frees it.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// smallHomes are a pair of which one side's database is on a small disk.
func smallHomes(t *testing.T, near bool) (p *pair, small *end) {
	t.Helper()
	p = newPair(t, nil)
	small = p.far
	if near {
		small = p.near
	}
	trash := t.TempDir()
	p.configure = func(_ bool, c *Config) { c.Folders[0].TrashDir = filepath.Join(trash, filepath.Base(c.Home)) }
	if err := os.MkdirAll(small.home, 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, small.home, "3m")
	for i := range 20 {
		p.near.write(t, fmt.Sprintf("dir/%d", i), "precious")
	}
	return p, small
}

// TestFullDiskUnderTheDatabase fills the disk of the database while both sides go on,
// and frees it: meanwhile the status says why nothing crosses, and then all does.
func TestFullDiskUnderTheDatabase(t *testing.T) {
	for _, near := range []bool{true, false} {
		t.Run(fmt.Sprintf("near=%v", near), func(t *testing.T) {
			p, small := smallHomes(t, near)
			p.startBoth()
			p.equalTrees()
			free := fillDisk(t, small.home)
			const files = 200
			for i := range files {
				p.near.write(t, fmt.Sprintf("near/%d", i), strings.Repeat("n", 1000))
				p.far.write(t, fmt.Sprintf("far/%d", i), strings.Repeat("f", 1000))
			}
			if err := os.Remove(p.near.path("dir/0")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the reason in the status", func() bool {
				f := small.Status().Folders[0]
				return f.State == "error" && strings.Contains(f.Error, small.home) && strings.Contains(f.Error, "full")
			})
			free()
			p.equalTrees()
			p.settled()
			for i := range files {
				if !p.far.has(fmt.Sprintf("near/%d", i), strings.Repeat("n", 1000)) || !p.near.has(fmt.Sprintf("far/%d", i), strings.Repeat("f", 1000)) {
					t.Fatalf("file %d is gone", i)
				}
			}
			if !p.far.has("dir/1", "precious") || !p.far.lacks("dir/0") {
				t.Error("what was removed is not what is gone")
			}
		})
	}
}

// TestEngineEndsOnAFullDisk has the rest of the disk taken where a write does not look
// first: the engine ends in order, does not start as long as the disk is full, and
// finds its database as it was.
func TestEngineEndsOnAFullDisk(t *testing.T) {
	p, _ := smallHomes(t, true)
	p.start(false)
	e, err := New(p.config(true))
	if err != nil {
		t.Fatal(err)
	}
	p.near.Engine = e
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(t.Context()) }()
	p.settled()
	e.room.waits.Store(false)
	free := fillDisk(t, p.near.home)
	for i := range 100 {
		p.near.write(t, fmt.Sprintf("near/%d", i), "x")
	}
	if err := <-ended; !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), p.near.home) {
		t.Fatalf("ended with %v", err)
	}
	for range renewAfter + 1 {
		if e, err := New(p.config(true)); !errors.Is(err, ErrNoRoom) {
			if err == nil {
				e.Close()
			}
			t.Fatalf("started on a full disk: %v", err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 2*roomPoll)
	defer cancel()
	if err := AwaitRoom(short, p.near.home); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for room: %v", err)
	}
	free()
	if err := AwaitRoom(t.Context(), p.near.home); err != nil {
		t.Error(err)
	}
	p.start(true)
	p.settled()
	p.equalTrees()
	if !p.far.has("near/99", "x") || !p.far.has("dir/0", "precious") {
		t.Error("files are gone")
	}
	if aside, err := filepath.Glob(filepath.Join(p.near.home, "*"+brokenSuffix)); err != nil || len(aside) > 0 {
		t.Errorf("the database was set aside: %v, %v", aside, err)
	}
}

// TestWritesWaitForRoom stops while a write waits: it is dropped, and so are all that
// follow, so that the database is as it was at one moment.
func TestWritesWaitForRoom(t *testing.T) {
	dir := t.TempDir()
	mountTmpfs(t, dir, "2m")
	r, err := openRoom(filepath.Join(dir, "index-v0.14.0.db"), dir, backend.TuningSmall, testLog(t, true))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Put([]byte("a"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer r.serve(ctx, func(err error) { t.Errorf("failed: %v", err) })()
	free := fillDisk(t, dir)
	written := make(chan error, 1)
	go func() { written <- r.Put([]byte("b"), []byte("2")) }()
	eventually(t, "a write that waits", func() bool { return r.full() != "" })
	cancel()
	if err := <-written; !backend.IsClosed(err) {
		t.Errorf("a write that was given up: %v", err)
	}
	free()
	transaction, err := r.NewWriteTransaction()
	if err != nil {
		t.Fatal(err)
	}
	if err := transaction.Put([]byte("c"), []byte("3")); err != nil {
		t.Errorf("put: %v", err)
	}
	if err := transaction.Commit(); !backend.IsClosed(err) {
		t.Errorf("a later write: %v", err)
	}
	if value, err := r.Get([]byte("a")); err != nil || string(value) != "1" || r.failure() != nil {
		t.Errorf("read %q, %v; failure %v", value, err, r.failure())
	}
	for _, key := range []string{"b", "c"} {
		if _, err := r.Get([]byte(key)); !backend.IsNotFound(err) {
			t.Errorf("%s was written: %v", key, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseOfWhatWasLeftOpen has a transaction that nobody ends, as the library leaves
// one when a database is damaged.
func TestCloseOfWhatWasLeftOpen(t *testing.T) {
	dir := t.TempDir()
	r, err := openRoom(filepath.Join(dir, "index"), dir, backend.TuningAuto, testLog(t, true))
	if err != nil {
		t.Fatal(err)
	}
	r.patience = 50 * time.Millisecond
	left, err := r.NewReadTransaction()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); !errors.Is(err, errLeftOpen) {
		t.Errorf("in use: %v", err)
	}
	left.Release() // now it is closed after all
	eventually(t, "the database to be opened again", func() bool {
		again, err := openRoom(filepath.Join(dir, "index"), dir, backend.TuningAuto, testLog(t, true))
		return err == nil && again.Close() == nil
	})
}
