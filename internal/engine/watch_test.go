//go:build linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a watchTarget that remembers.
type recorder struct {
	mu      sync.Mutex
	changes []change
}

func (r *recorder) skip(path string) bool { return filepath.Base(path) == "skipped" }

func (r *recorder) seen(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *recorder) has(want change) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		if c == want {
			return true
		}
	}
	return false
}

func startWatch(t *testing.T, root string, limit int) (*recorder, error) {
	t.Helper()
	r := &recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	up := make(chan error, 1)
	go func() {
		done <- watchTree(ctx, root, limit, r, func(_ int, problem error) {
			select {
			case up <- problem:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case problem := <-up:
		return r, problem
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return r, nil
}

func TestWatchSeesEveryKindOfChange(t *testing.T) {
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"old/deep", "skipped/deep", "moving/in"} {
		if err := os.MkdirAll(in(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r, problem := startWatch(t, root, 0)
	if problem != nil {
		t.Fatal(problem)
	}
	outside := t.TempDir()
	if err := errors.Join(
		os.WriteFile(in("old/deep/file"), []byte("x"), 0o644),
		os.WriteFile(in("skipped/deep/file"), []byte("x"), 0o644),
		os.Mkdir(in("new"), 0o755),
		os.WriteFile(in("new/file"), []byte("x"), 0o644),
		os.Symlink("x", in("link")),
		os.Link(in("new/file"), in("hard")),
		os.Rename(in("moving"), in("moved")),
		os.Rename(in("old"), filepath.Join(outside, "away")),
	); err != nil {
		t.Fatal(err)
	}
	for _, want := range []change{
		{"old/deep/file", opComplete},
		{"new", opNewDir},
		{"new/file", opComplete},
		{"link", opComplete},
		{"hard", opComplete},
		{"moving", opRemoved},
		{"moved", opTree},
		{"old", opRemoved},
	} {
		eventually(t, fmt.Sprintf("change %+v", want), func() bool { return r.has(want) })
	}
	if err := errors.Join(os.Chmod(in("new/file"), 0o600), os.Remove(in("hard"))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []change{{"new/file", opAttributes}, {"hard", opRemoved}} {
		eventually(t, fmt.Sprintf("change %+v", want), func() bool { return r.has(want) })
	}
	// What was written in a folder before it was watched again is found by the
	// scan of the whole; from then on it is watched.
	if err := os.WriteFile(in("moved/in/file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "change in a moved folder", func() bool { return r.has(change{"moved/in/file", opComplete}) })
	// What has moved out is no longer ours.
	if err := os.WriteFile(filepath.Join(outside, "away/deep/late"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("last"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "last change", func() bool { return r.has(change{"last", opComplete}) })
	for _, c := range r.changes {
		if strings.HasPrefix(c.path, "skipped") || strings.HasSuffix(c.path, "late") {
			t.Errorf("saw %+v", c)
		}
	}
}

// A folder made by another process is full before it is watched: nothing in it
// may be missed, and what is still being written must be known to be.
func TestWatchMissesNothingInNewFolders(t *testing.T) {
	root := t.TempDir()
	r, problem := startWatch(t, root, 0)
	if problem != nil {
		t.Fatal(problem)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				dir := filepath.Join(root, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", j), "c")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Error(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		for j := range 50 {
			path := filepath.Join(fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", j), "c", "file")
			eventually(t, path, func() bool { return r.has(change{path, opComplete}) })
		}
	}
}

func TestOpenForWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if !openForWriting(path) {
		t.Skip("this file system grants no leases")
	}
	file.Close()
	if openForWriting(path) {
		t.Error("a closed file is open")
	}
}

func TestRootGoneIsSeen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r, _ := startWatch(t, root, 0)
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "root's end", func() bool { return r.has(change{".", opRootGone}) })
}

func TestWatchLimitIsNamedAndTheRestWorks(t *testing.T) {
	const limit = 5
	p := newPair(t, func(near bool, c *Config) {
		if near {
			c.Watch.MaxWatches = limit
			c.Watch.PollInterval = 200 * time.Millisecond
		}
	})
	for i := range 20 {
		p.near.write(t, fmt.Sprintf("d%02d/file", i), "x")
	}
	p.startBoth()
	state := p.near.Status().Folders[0].Watch
	if state.Mode != "scans" || state.Dirs != limit || !strings.Contains(state.Problem, "5 inotify watches") {
		t.Errorf("state: %+v", state)
	}
	for i := range 20 {
		name := fmt.Sprintf("d%02d/file", i)
		p.near.write(t, name, "changed")
		eventually(t, "change of "+name, func() bool { return p.far.has(name, "changed") })
	}
}
