package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
)

// tangleRest is how long a tangle must last: a file may well be announced before
// the directory above it.
const tangleRest = time.Second

// untangleLoop resolves what the library cannot.
//
// One side has put a file where a directory was, and the other has put something
// into that directory meanwhile: the file is newest and the directory is not
// empty, so neither side can follow the other. The directory keeps the name; the
// file is kept beside it, as the loser of every conflict is.
//
// The other side has deleted a file that is a directory here: the library neither
// removes that nor keeps it. It goes if nothing is in it, else it stays.
func (r *folderRunner) untangleLoop(ctx context.Context) {
	sub := r.e.events.Subscribe(events.FolderErrors)
	defer sub.Unsubscribe()
	since := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case ev, ok := <-sub.C():
			if !ok {
				return
			}
			if data, _ := ev.Data.(map[string]interface{}); data["folder"] != r.f.ID {
				continue
			}
		}
		found := r.tangles()
		for path := range since {
			if _, ok := found[path]; !ok {
				delete(since, path)
			}
		}
		for path, name := range found {
			if first, ok := since[path]; !ok {
				since[path] = time.Now()
			} else if time.Since(first) >= tangleRest {
				if name == "" {
					r.follow(ctx, path)
				} else {
					r.untangle(ctx, path, name)
				}
				delete(since, path)
			}
		}
	}
}

// tangles are what stands, in agreement with the other side, where the directory
// of something would be that the other side has: path to the name for a copy; and
// directories that the other side has deleted as files: path to nothing.
func (r *folderRunner) tangles() map[string]string {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return nil
	}
	defer snap.Release()
	found, looked := map[string]string{}, map[string]bool{}
	snap.WithNeedTruncated(protocol.LocalDeviceID, func(f protocol.FileInfo) bool {
		if f.IsInvalid() {
			return true
		}
		if f.IsDeleted() {
			if ours, ok := snap.Get(protocol.LocalDeviceID, f.Name); ok && ours.IsDirectory() && !ours.IsDeleted() && !f.IsDirectory() {
				found[f.Name] = ""
			}
			return true
		}
		for dir := filepath.Dir(f.Name); dir != "." && !looked[dir]; dir = filepath.Dir(dir) {
			looked[dir] = true
			info, err := r.fs.Lstat(dir)
			if err != nil || info.IsDir() {
				continue
			}
			ours, known := snap.Get(protocol.LocalDeviceID, dir)
			global, ok := snap.GetGlobal(dir)
			if known && ok && !ours.IsDeleted() && !ours.IsInvalid() && ours.Version.Equal(global.Version) {
				found[dir] = conflictName(dir, ours.ModifiedBy)
			}
		}
		return true
	})
	return found
}

// conflictName is the library's name for a copy (folder_sendrecv.go).
func conflictName(path string, by protocol.ShortID) string {
	ext := filepath.Ext(path)
	return fitConflictName(strings.TrimSuffix(path, ext) + time.Now().Format(conflictMark+"20060102-150405-") + by.String() + ext)
}

func (r *folderRunner) untangle(ctx context.Context, path, name string) {
	from, to := filepath.Join(r.f.Path, osutil.NativeFilename(path)), filepath.Join(r.f.Path, osutil.NativeFilename(name))
	if _, err := os.Lstat(to); err == nil {
		return // there is one of this second: the next attempt has another name
	}
	err := os.Rename(from, to)
	if err == nil {
		err = os.Mkdir(from, 0o777)
	}
	if err != nil {
		r.log.Warn("keep a file beside a directory of its name", "path", path, "err", err)
		return
	}
	r.log.Info("a file here is a directory on the other side: kept beside it", "path", path, "copy", name)
	if err := r.scan(ctx, []string{path, name}); err != nil {
		r.log.Info("scan failed", "err", err)
	}
}

// follow removes a directory that the other side has deleted when it was a file
// there. One that is not empty is announced anew, and so stays on both sides: a
// change of its mode is a change.
func (r *folderRunner) follow(ctx context.Context, path string) {
	dir := filepath.Join(r.f.Path, osutil.NativeFilename(path))
	if os.Remove(dir) != nil { // it is not empty
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			return // it has changed meanwhile, which is a change to be scanned
		}
		r.changeMode(ctx, path, dir, info.Mode().Perm()^0o001)
		r.changeMode(ctx, path, dir, info.Mode().Perm())
		return
	}
	if err := r.scan(ctx, []string{path}); err != nil {
		r.log.Info("scan failed", "err", err)
	}
}

func (r *folderRunner) changeMode(ctx context.Context, path, dir string, mode os.FileMode) {
	err := os.Chmod(dir, mode)
	if err == nil {
		err = r.scan(ctx, []string{path})
	}
	if err != nil {
		r.log.Warn("announce a directory anew", "path", path, "err", err)
	}
}
