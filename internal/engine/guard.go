package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
)

const (
	// haltsFile in Home keeps the folders that were stopped, over restarts.
	haltsFile = "stopped.json"
	// guardFiles is how many files must be lost before the share counts, so
	// that small trees can be worked on freely.
	guardFiles = 100
	// guardShare: one part in guardShare of all files, lost at once, stops.
	guardShare = 2
	// guardRoot is how many files a folder must have had for its root's being
	// empty to stop it.
	guardRoot = 5
)

// halts are the folders that a guard has stopped, with the reason.
type halts struct {
	path string
	// turn is held while a folder is stopped or resumed: a folder that shows as
	// stopped must not be resumed before it is.
	turn sync.Mutex

	mu      sync.Mutex
	reasons map[string]string // protected by mu
}

func loadHalts(home string) (*halts, error) {
	h := &halts{path: filepath.Join(home, haltsFile), reasons: map[string]string{}}
	content, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read stopped folders: %w", err)
	}
	if err := json.Unmarshal(content, &h.reasons); err != nil || h.reasons == nil {
		h.reasons = map[string]string{} // damaged: the guards look again anyway
	}
	return h, nil
}

func (h *halts) get(folder string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reasons[folder]
}

// set notes a reason; an empty one forgets the folder.
func (h *halts) set(folder, reason string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reason == "" {
		delete(h.reasons, folder)
	} else {
		h.reasons[folder] = reason
	}
	content, err := json.Marshal(h.reasons)
	if err != nil {
		return fmt.Errorf("note stopped folders: %w", err)
	}
	temp := h.path + ".tmp"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		return fmt.Errorf("note stopped folders: %w", err)
	}
	if err := os.Rename(temp, h.path); err != nil {
		return fmt.Errorf("note stopped folders: %w", err)
	}
	return nil
}

// guard looks, and stops the folder when there is a reason: nothing is sent or
// received then until Resume. It reports whether it has. What it saw before a
// resumption is no reason after it.
func (r *folderRunner) guard(look func() string) (stopped bool) {
	if !r.f.GuardRoot {
		return false
	}
	resumptions := r.resumptions()
	reason := look()
	if reason == "" {
		return false
	}
	halts := r.e.halts
	halts.turn.Lock()
	defer halts.turn.Unlock()
	if r.resumptions() != resumptions {
		return false
	}
	r.log.Warn("folder stopped", "reason", reason)
	if err := halts.set(r.f.ID, reason); err != nil {
		r.log.Warn("remember stopped folder", "err", err)
	}
	if err := r.e.modifyFolder(r.f.ID, func(f *config.FolderConfiguration) { f.Paused = true }); err != nil {
		r.log.Error("stop folder", "err", err)
	}
	return true
}

func (r *folderRunner) resumptions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed
}

// Resume lets a folder that a guard has stopped go on: what was deleted here is
// deleted on the other side. It returns when the folder has been scanned.
func (e *Engine) Resume(ctx context.Context, folder string) error {
	if _, ok := e.folders[folder]; !ok {
		return fmt.Errorf("resume: no folder %s", folder)
	}
	if resumed, err := e.resume(folder); err != nil || !resumed {
		return err
	}
	return e.Scan(ctx, folder)
}

func (e *Engine) resume(folder string) (bool, error) {
	e.halts.turn.Lock()
	defer e.halts.turn.Unlock()
	if e.halts.get(folder) == "" {
		return false, nil
	}
	return true, e.modifyFolder(folder, func(f *config.FolderConfiguration) { f.Paused = false })
}

// resumer notices that a stopped folder is told to go on, by Resume or over the
// REST interface (PATCH /rest/config/folders/ID with paused false).
type resumer struct{ e *Engine }

func (r resumer) String() string { return "resumer" }

// CommitConfiguration implements config.Committer.
func (r resumer) CommitConfiguration(_, to config.Configuration) bool {
	for _, f := range to.Folders {
		runner := r.e.folders[f.ID]
		if f.Paused || runner == nil || r.e.halts.get(f.ID) == "" {
			continue
		}
		runner.accept()
		if err := r.e.halts.set(f.ID, ""); err != nil {
			r.e.log.Warn("forget stopped folder", "folder", f.ID, "err", err)
		}
		if err := prepareRoot(runner.f, true); err != nil {
			r.e.log.Warn("prepare sync folder", "folder", f.ID, "err", err)
		}
		runner.noteRoot()
		runner.renewWatch() // it may hold the old root; a full scan follows
	}
	return true
}

// guardStart looks at a folder before its first scan, when the engine has its
// database but does not run yet.
func (e *Engine) guardStart(f Folder) error {
	if !f.GuardRoot || e.halts.get(f.ID) != "" {
		return nil
	}
	set, err := db.NewFileSet(f.ID, e.db)
	if err != nil {
		return fmt.Errorf("open sync database of %s: %w", f.ID, err)
	}
	snap, err := set.Snapshot()
	if err != nil {
		return fmt.Errorf("open sync database of %s: %w", f.ID, err)
	}
	defer snap.Release()
	if reason := lossReason(lostFiles(f.Path, snap)); reason != "" {
		e.log.Warn("folder stopped", "folder", f.ID, "reason", reason)
		return e.halts.set(f.ID, reason)
	}
	return nil
}

// lostFiles compares the database with the disk: how many files there were, and
// how many of them are gone.
func lostFiles(root string, snap *db.Snapshot) (had, lost int) {
	gone := "" // a directory that is gone, with everything below
	snap.WithHaveTruncated(protocol.LocalDeviceID, func(f protocol.FileInfo) bool {
		if f.IsDeleted() || f.IsInvalid() || f.IsDirectory() {
			return true
		}
		had++
		if gone != "" && strings.HasPrefix(f.Name, gone) {
			lost++
			return true
		}
		path := filepath.Join(root, osutil.NativeFilename(f.Name))
		if missing(path) {
			lost++
			gone = ""
			if dir := filepath.Dir(f.Name); dir != "." && missing(filepath.Dir(path)) {
				gone = dir + "/"
			}
		}
		return true
	})
	return had, lost
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

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// accept has the guards look away until a full scan is done: what is missing
// now the user has agreed to, and the engine's own scan, which starts with the
// resumed folder, may not have noted it before the guards look again.
func (r *folderRunner) accept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = true
	r.resumed++
}

func (r *folderRunner) isAccepted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// guardBatch looks at removals before they are scanned.
func (r *folderRunner) guardBatch(removed []due) string {
	if r.isAccepted() {
		return ""
	}
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return ""
	}
	defer snap.Release()
	had := snap.LocalSize().Files + snap.LocalSize().Symlinks
	lost := 0
	for _, d := range removed {
		if !missing(filepath.Join(r.f.Path, d.path)) {
			continue
		}
		name := osutil.NormalizedFilename(d.path)
		f, ok := snap.Get(protocol.LocalDeviceID, name)
		switch {
		case !ok || f.IsDeleted() || f.IsInvalid():
		case !f.IsDirectory():
			lost++
		default:
			snap.WithPrefixedHaveTruncated(protocol.LocalDeviceID, name, func(below protocol.FileInfo) bool {
				if !below.IsDirectory() && !below.IsDeleted() && !below.IsInvalid() {
					lost++
				}
				return true
			})
		}
	}
	// Removals below a removed directory are counted twice; never report more
	// than there was.
	return lossReason(had, min(lost, had))
}

// unreported returns the batch with the removals in it told apart, if its scan
// would find some that no guard has looked at: a file that was reported as
// written and is gone since, or one below a directory whose scan is recursive.
// Those come back as removals, together with what is to be scanned with them.
func (r *folderRunner) unreported(batch []due, now time.Time) []due {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return nil
	}
	defer snap.Release()
	gone := map[string]bool{}
	told := make([]due, len(batch))
	for i, d := range batch {
		told[i] = d
		if d.removed || r.isAccepted() {
			continue
		}
		before := len(gone)
		snap.WithPrefixedHaveTruncated(protocol.LocalDeviceID, osutil.NormalizedFilename(d.path), func(f protocol.FileInfo) bool {
			if !f.IsDirectory() && !f.IsDeleted() && !f.IsInvalid() {
				if path := osutil.NativeFilename(f.Name); missing(filepath.Join(r.f.Path, path)) {
					gone[path] = true
				}
			}
			return true
		})
		if len(gone) > before {
			told[i].removed, told[i].since, told[i].at = true, now, now
		}
	}
	if len(gone) == 0 {
		return nil
	}
	for _, d := range batch {
		delete(gone, d.path)
	}
	for path := range gone {
		told = append(told, due{path: path, removed: true, since: now, at: now})
	}
	return told
}

// guardFull looks at the whole folder before a full scan. It waits until a
// removal that goes on is over, so as to see it whole.
func (r *folderRunner) guardFull(ctx context.Context) string {
	if r.isAccepted() {
		return ""
	}
	if reason := r.rootChanged(); reason != "" {
		return reason
	}
	until := time.Now().Add(guardHold)
	for before := -1; ; {
		snap, err := r.e.model.DBSnapshot(r.f.ID)
		if err != nil {
			return ""
		}
		had, lost := lostFiles(r.f.Path, snap)
		snap.Release()
		reason := lossReason(had, lost)
		if reason != "" || lost < guardBurst || lost == before || time.Now().After(until) {
			return reason
		}
		before = lost
		select {
		case <-ctx.Done():
			return ""
		case <-time.After(guardRest):
		}
	}
}

// noteRoot remembers which directory the root is.
func (r *folderRunner) noteRoot() {
	info, err := os.Stat(r.f.Path)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root = nil
	if err == nil {
		r.root = info
	}
}

// rootChanged says that the root is another directory than it was; empty: it is
// the same, or missing, which the engine itself reports.
func (r *folderRunner) rootChanged() string {
	r.mu.Lock()
	before := r.root
	r.mu.Unlock()
	now, err := os.Stat(r.f.Path)
	if err != nil || before == nil || os.SameFile(before, now) {
		return ""
	}
	return "the folder's root is not the directory it was: it was replaced, unmounted or mounted over"
}
