package engine

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"
)

// unfinishedLimit bounds how many entries of a new folder are looked at.
const unfinishedLimit = 1000

// unfinished takes out of a batch what lies in new folders in which a file is
// still being written. A new folder can only be scanned with all that is in it,
// and what is made in it at once may not have been reported yet; so the system
// is asked, and not what was reported.
func (r *folderRunner) unfinished(batch []due, now time.Time) (ready, later []due) {
	busy := map[string]bool{}
	for _, d := range batch {
		root := r.scanRoot(d.path)
		if _, asked := busy[root]; !asked {
			fresh := root != d.path || d.newDir || d.tree
			busy[root] = fresh && now.Sub(d.since) < treeHold*r.e.cfg.Watch.MaxHold && r.writtenBelow(root)
		}
		if busy[root] {
			later = append(later, d)
		} else {
			ready = append(ready, d)
		}
	}
	return ready, later
}

// writtenBelow reports whether a file below a folder is open for writing.
func (r *folderRunner) writtenBelow(root string) bool {
	written, seen := false, 0
	_ = filepath.WalkDir(filepath.Join(r.f.Path, root), func(path string, entry fs.DirEntry, err error) error {
		seen++
		if err != nil || seen > unfinishedLimit {
			return fs.SkipAll // the scan itself reports what cannot be read
		}
		if entry.Type().IsRegular() && openForWriting(path) {
			written = true
			return fs.SkipAll
		}
		return nil
	})
	return written
}

// pauseForUnfinished keeps a batch with nothing else in it from being tried
// without a pause.
func pauseForUnfinished(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(heldPoll):
	}
}
