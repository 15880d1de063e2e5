package engine

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/protocol"
)

// revealAfter is how long the library may need to note what it has done with a file.
const revealAfter = 100 * time.Millisecond

// placed are the files that were put in place and have yet to be given their time: as
// they were before, by path.
type placed struct {
	mu    sync.Mutex
	files map[string]os.FileInfo // protected by mu
}

func newPlaced() *placed { return &placed{files: map[string]os.FileInfo{}} }

func (p *placed) note(name string, info os.FileInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[name] = info
}

func (p *placed) take(name string) os.FileInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	info := p.files[name]
	delete(p.files, name)
	return info
}

// Chtimes gives a received file its time, by its name. By then somebody may have saved
// something else under that: with the time, and perhaps the size, of what was received
// no scan would see it. It has the time of its own again as soon as the library has
// noted the other one.
func (d *disk) Chtimes(name string, atime, mtime time.Time) error {
	path := filepath.Join(d.URI(), name)
	before, err := os.Lstat(path)
	changed := err == nil && before.Mode().IsRegular() && !stfs.IsTemporary(name) && d.isAnother(name, before)
	if err := d.BasicFilesystem.Chtimes(name, atime, mtime); err != nil || !changed {
		return err
	}
	time.AfterFunc(revealAfter, func() { // ends with itself
		if now, err := os.Lstat(path); err == nil && now.ModTime().Equal(mtime) {
			_ = os.Chtimes(path, time.Time{}, later(before.ModTime(), mtime))
		}
	})
	return nil
}

// later is a time of its own for a file that was saved at a time.
func later(saved, other time.Time) time.Time {
	if saved.Equal(other) {
		return saved.Add(time.Nanosecond)
	}
	return saved
}

// isAnother reports whether a file is not what was put in place there, or else not
// what the database has.
func (d *disk) isAnother(name string, now os.FileInfo) bool {
	if put := d.placed.take(name); put != nil {
		return !os.SameFile(put, now) || put.Size() != now.Size() || !put.ModTime().Equal(now.ModTime())
	}
	known, ok := d.known(name)
	if !ok || known.IsDeleted() || known.Type != protocol.FileInfoTypeFile {
		return false
	}
	return known.Size != now.Size() || !sameTime(known.ModTime(), now.ModTime())
}

// sameTime compares what was given to a file with what the disk has kept of it.
func sameTime(given, kept time.Time) bool {
	if given.Equal(kept) {
		return true
	}
	const coarsest = 2 * time.Second // of FAT
	return kept.Nanosecond() == 0 && given.Sub(kept).Abs() < coarsest
}
