package engine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
)

const (
	// guardFiles is how many files must be lost before the share counts, so
	// that small trees can be worked on freely.
	guardFiles = 100
	// guardShare: one part in guardShare of all files, lost at once, stops.
	guardShare = 2
	// guardRoot is how many files a folder must have had for its root's being
	// empty to stop it.
	guardRoot = 5
)

// verdict of a look at what is gone.
type verdict struct {
	reason string   // why the folder must stop; empty: it need not
	gone   []string // what the other side may be told then
}

// guard looks, and stops the folder when there is a reason: nothing is sent or
// received then until Resume. Else the next scan may see what is gone. What was
// seen before a resumption is no reason after it.
func (r *folderRunner) guard(look func() verdict) (stopped bool) {
	if r.gate == nil || r.isAccepted() {
		return false
	}
	resumptions := r.resumptions()
	v := look()
	if v.reason == "" {
		r.gate.pass(v.gone)
		return false
	}
	halts := r.e.halts
	halts.turn.Lock()
	defer halts.turn.Unlock()
	if r.resumptions() != resumptions {
		return false
	}
	r.log.Warn("folder stopped", "reason", v.reason)
	if err := halts.set(r.f.ID, v.reason); err != nil {
		r.log.Warn("remember stopped folder", "err", err)
	}
	if err := r.e.modifyFolder(r.f.ID, func(f *config.FolderConfiguration) { f.Paused = true }); err != nil {
		r.log.Error("stop folder", "err", err)
	}
	r.gate.forget()
	return true
}

// accept has the guard look away until a full scan is done: what is missing now
// the user has agreed to, and the engine's own scan, which starts with the
// resumed folder, may not have noted it before the guard looks again.
func (r *folderRunner) accept() {
	r.mu.Lock()
	r.accepted = true
	r.resumed++
	r.mu.Unlock()
	if r.gate != nil {
		r.gate.setOpen(true)
	}
}

func (r *folderRunner) isAccepted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// lossReason says why a folder that has lost files should stop; empty: it need
// not.
func lossReason(had, lost int) string {
	switch {
	case had >= guardRoot && lost == had:
		return fmt.Sprintf("all %d files are gone: the folder was emptied, replaced or unmounted", had)
	case lost >= guardFiles && lost*guardShare >= had:
		return fmt.Sprintf("%d of %d files are gone", lost, had)
	}
	return ""
}

// lookAtRemovals judges removals before a scan may see them: those that are due,
// and those that still rest.
func (r *folderRunner) lookAtRemovals(removed []due) verdict {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		r.gate.forget() // nothing passes
		return verdict{}
	}
	defer snap.Release()
	var v verdict
	lost, seen := map[string]stamp{}, map[string]bool{}
	for _, d := range removed {
		known, ok := snap.Get(protocol.LocalDeviceID, d.path)
		if !ok || known.IsDeleted() || known.IsInvalid() || !r.isGone(d.path, known.IsDirectory()) {
			r.gate.settle(d.path)
			continue
		}
		// With the directory that it was in goes all that was in that.
		top := r.topmostGone(d.path)
		v.gone = append(v.gone, top)
		if seen[top] {
			continue
		}
		seen[top] = true
		snap.WithPrefixedHaveTruncated(protocol.LocalDeviceID, top, func(below protocol.FileInfo) bool {
			if !below.IsDirectory() && !below.IsDeleted() && !below.IsInvalid() {
				lost[below.Name] = stampOf(below)
			}
			return true
		})
	}
	had := snap.LocalSize().Files + snap.LocalSize().Symlinks
	if v.reason = lossReason(had, len(lost)); v.reason != "" {
		v.reason = lossReason(had, len(lost)-r.moved(lost, snap))
	}
	return v
}

// topmostGone is the highest directory above a path that is gone, or the path.
func (r *folderRunner) topmostGone(path string) string {
	for dir := filepath.Dir(path); dir != "." && r.isGone(dir, true); dir = filepath.Dir(dir) {
		path = dir
	}
	return path
}

// lookAtAll judges the folder as a whole.
func (r *folderRunner) lookAtAll() verdict {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return verdict{}
	}
	defer snap.Release()
	had, lost := 0, map[string]stamp{}
	snap.WithHaveTruncated(protocol.LocalDeviceID, func(f protocol.FileInfo) bool {
		if f.IsDeleted() || f.IsInvalid() || f.IsDirectory() {
			return true
		}
		had++
		if r.isGone(f.Name, false) {
			lost[f.Name] = stampOf(f)
		}
		return true
	})
	return verdict{reason: lossReason(had, len(lost))}
}

// mend makes the folder's marker anew when only that is gone, as when somebody
// has removed .stignore. It reports whether it has.
func (r *folderRunner) mend() bool {
	if r.gate == nil || r.guard(r.lookAtRoot) || r.guard(r.lookAtAll) {
		return false
	}
	r.log.Info("the folder's marker was removed, and its files were not: making it anew", "path", filepath.Join(r.f.Path, r.f.Marker))
	if err := prepareRoot(r.f, true); err != nil {
		r.log.Warn("prepare sync folder", "err", err)
		return false
	}
	return true
}

// isGone judges as the library does (osutil.IsDeleted), and takes a directory for
// gone that something else has replaced.
func (r *folderRunner) isGone(path string, directory bool) bool {
	if osutil.IsDeleted(r.fs, path) {
		return true
	}
	if !directory {
		return false
	}
	info, err := r.fs.Lstat(path)
	return err == nil && !info.IsDir()
}

// stamp tells files apart well enough to find one again under another name.
type stamp struct {
	size, nanoseconds int64
}

func stampOf(f protocol.FileInfo) stamp {
	if f.IsSymlink() {
		return stamp{size: -1}
	}
	return stamp{f.Size, f.ModTime().UnixNano()}
}

// moved counts the lost files that are in the folder under a name that is new: a
// directory that was renamed is not lost.
func (r *folderRunner) moved(lost map[string]stamp, snap *db.Snapshot) int {
	fresh := map[stamp]int{}
	_ = filepath.WalkDir(r.f.Path, func(path string, entry fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(r.f.Path, path)
		if err != nil || relErr != nil {
			return nil // what cannot be read has not been moved there
		}
		if rel != "." && r.skip(rel) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		if known, ok := snap.Get(protocol.LocalDeviceID, rel); ok && !known.IsDeleted() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			fresh[stamp{info.Size(), info.ModTime().UnixNano()}]++
		}
		return nil
	})
	moved := 0
	for _, s := range lost {
		if fresh[s] > 0 {
			fresh[s]--
			moved++
		}
	}
	return moved
}

// lookAtRoot judges whether the root is the directory it was.
func (r *folderRunner) lookAtRoot() verdict {
	r.mu.Lock()
	before := r.root
	r.mu.Unlock()
	now, err := os.Stat(r.f.Path)
	if err != nil || before == nil || os.SameFile(before, now) {
		return verdict{} // the engine itself reports a root that is missing
	}
	return verdict{reason: "the folder's root is not the directory it was: it was replaced, unmounted or mounted over"}
}

// noteRoot remembers which directory the root is, if it is in order: what is in
// its place while it is away is not it.
func (r *folderRunner) noteRoot() {
	raw, _ := r.e.wrapper.Folder(r.f.ID)
	info, err := os.Stat(r.f.Path)
	if err == nil {
		err = raw.CheckPath()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root = nil
	if err == nil {
		r.root = info
	}
}

func (r *folderRunner) isRootNoted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.root != nil
}
