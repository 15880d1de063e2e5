//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shortQueue has inotify instances that are made from now on lose what is beyond a few
// events. The returned function sets the system's limit back.
func shortQueue(t *testing.T, events int) (restore func()) {
	t.Helper()
	const limit = "/proc/sys/fs/inotify/max_queued_events"
	before, err := os.ReadFile(limit)
	if err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(limit, []byte(fmt.Sprint(events)), 0); err != nil {
		t.Skipf("cannot set the system's limit: %v", err)
	}
	restored := false
	restore = func() {
		if !restored {
			restored = true
			if err := os.WriteFile(limit, before, 0); err != nil {
				t.Errorf("the system's limit is still %d, not %s: %v", events, strings.TrimSpace(string(before)), err)
			}
		}
	}
	t.Cleanup(restore)
	return restore
}

// TestLostEventsAreMadeUpFor has a storm of which the system reports a part only.
func TestLostEventsAreMadeUpFor(t *testing.T) {
	p := newPair(t, nil)
	restore := shortQueue(t, 8)
	p.startBoth()
	restore()
	scanned := func() time.Time {
		r := p.near.folders[testFolder]
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lastAt
	}
	before := scanned()
	// The files are all the same, which scans once took long for.
	put(t, filepath.Join(p.near.dir, "original"), []byte("content"))
	const links = 3000
	for i := range links {
		dir := filepath.Join(p.near.dir, fmt.Sprint("dir", i%30))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(p.near.dir, "original"), filepath.Join(dir, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a full scan, for what was not reported", func() bool { return scanned().After(before) })
	eventually(t, "all files", func() bool {
		found, err := filepath.Glob(filepath.Join(p.far.dir, "dir*", "*"))
		return err == nil && len(found) == links
	})
	p.settled()
	p.equalTrees()
	// What comes later is reported again, also in the folders that were made meanwhile.
	put(t, filepath.Join(p.near.dir, "dir7", "later"), []byte("later"))
	eventually(t, "a later save", func() bool {
		got, err := os.ReadFile(filepath.Join(p.far.dir, "dir7", "later"))
		return err == nil && string(got) == "later"
	})
}
