package engine

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
)

// chooseAgain bounds how often choose begins anew.
const chooseAgain = 10

// choose tells what of a batch is to be scanned, by which paths, and what later.
func (r *folderRunner) choose(ctx context.Context, batch []due) (changed, later []due, paths []string, err error) {
	for range chooseAgain {
		// A scan waits for a running pull anyway; by then most of what is in the
		// batch is what the pull itself wrote.
		if err := r.awaitPull(ctx); err != nil {
			return nil, nil, nil, err
		}
		before := r.sequence()
		var ready []due
		ready, later = r.unfinished(batch, time.Now())
		changed, paths = ready[:0:0], nil
		for _, d := range ready {
			if d.tree || r.differs(d.path) || (d.vanished && r.lostBelow(d.path)) || (d.content && r.unmask(ctx, d.path)) {
				changed = append(changed, d)
				paths = append(paths, r.scanRoot(d.path))
			}
		}
		// A pull that began meanwhile may have changed the disk and not yet the
		// database: a file would be announced without the folders above it.
		if len(paths) == 0 || (!r.pulling() && r.sequence() == before) {
			break
		}
	}
	return changed, later, paths, nil
}

// withoutReplaced puts off directories that something else has replaced: all that
// was below is gone, which the guard must look at first.
func (r *folderRunner) withoutReplaced(changed, later []due, paths []string) (stay, off []due, scan []string) {
	for i, d := range changed {
		if known, ok, err := r.current(d.path); !d.removed && err == nil && ok && known.IsDirectory() && !known.IsDeleted() {
			if info, err := r.fs.Lstat(d.path); err == nil && !info.IsDir() {
				d.removed = true
				later = append(later, d)
				continue
			}
		}
		stay, scan = append(stay, d), append(scan, paths[i])
	}
	return stay, later, scan
}

func (r *folderRunner) pulling() bool {
	state, _, _ := r.e.model.State(r.f.ID)
	return strings.HasPrefix(state, "sync")
}

// scanRoot is what must be scanned for a path: the topmost directory above it
// that the database does not know, or knows as deleted. The library finds the
// former itself, but takes the latter for known, and would announce a file in a
// folder that is gone: the peer then makes a folder of its own.
func (r *folderRunner) scanRoot(path string) string {
	root := path
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if known, ok, err := r.current(dir); err != nil || (ok && !known.IsDeleted()) {
			break
		}
		root = dir
	}
	return root
}

func (r *folderRunner) current(path string) (protocol.FileInfo, bool, error) {
	return r.e.model.CurrentFolderFile(r.f.ID, osutil.NormalizedFilename(path))
}

// awaitPull returns when the folder is not receiving.
func (r *folderRunner) awaitPull(ctx context.Context) error {
	pause := time.Millisecond
	for {
		if !r.pulling() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 16*time.Millisecond)
		}
	}
}

// lostBelow reports whether the database has anything below a path that the disk
// has not: of a directory that was removed and made again, by somebody or for the
// other side, only itself is as it was.
func (r *folderRunner) lostBelow(path string) bool {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return true
	}
	defer snap.Release()
	lost := false
	snap.WithPrefixedHaveTruncated(protocol.LocalDeviceID, path, func(f protocol.FileInfo) bool {
		if f.Name != path && !f.IsDeleted() && !f.IsInvalid() {
			_, err := r.fs.Lstat(f.Name)
			lost = err != nil && isGone(err)
		}
		return !lost
	})
	return lost
}

// differs compares a path with the database: what the engine wrote itself needs
// no scan.
func (r *folderRunner) differs(path string) bool {
	known, ok, err := r.current(path)
	if err != nil {
		return true
	}
	info, err := r.fs.Lstat(path)
	if err != nil {
		return ok && !known.IsDeleted()
	}
	if !ok || known.IsDeleted() || known.IsInvalid() {
		return true
	}
	perms := protocol.PermsEqual(known.Permissions, uint32(info.Mode())) || known.NoPermissions
	switch {
	case info.IsDir():
		return !known.IsDirectory() || !perms
	case info.IsRegular():
		return known.Type != protocol.FileInfoTypeFile || known.Size != info.Size() || !known.ModTime().Equal(info.ModTime()) || !perms
	}
	return true
}
