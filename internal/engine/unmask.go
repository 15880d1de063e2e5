package engine

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/scanner"
)

// unmask makes a change visible that a scan would not see: another file in the place
// of one of the same size and time. Files that were written within one tick of the
// clock have the same time, and so have all of a build that gives them a fixed one; by
// a rename one takes the place of another. The system's own time of change tells, but
// the library does not ask for it; so the file's time is set forward, by a nanosecond
// where that can be kept. It reports whether it was.
func (r *folderRunner) unmask(ctx context.Context, path string) bool {
	known, ok, err := r.current(path)
	if err != nil || !ok || known.IsDeleted() || known.IsInvalid() || known.Type != protocol.FileInfoTypeFile {
		return false
	}
	info, err := r.fs.Lstat(path)
	if err != nil || !info.IsRegular() || known.InodeChangeTime().IsZero() || info.InodeChangeTime().Equal(known.InodeChangeTime()) {
		return false
	}
	blocks, err := scanner.HashFile(ctx, r.f.ID, r.fs, path, known.BlockSize(), nil, false)
	if err != nil || bytes.Equal(protocol.BlocksHash(blocks), known.BlocksHash) {
		return false // what cannot be read, a scan reports
	}
	full := filepath.Join(r.f.Path, osutil.NativeFilename(path))
	for _, step := range []time.Duration{time.Nanosecond, time.Microsecond, time.Second, 2 * time.Second} {
		if err := os.Chtimes(full, time.Time{}, known.ModTime().Add(step)); err != nil {
			r.log.Warn("a file has the size and time of another one that was there, and cannot be told from it; change it once more", "path", path, "err", err)
			return false
		}
		if info, err := os.Lstat(full); err != nil || !info.ModTime().Equal(known.ModTime()) {
			break
		}
	}
	return true
}
