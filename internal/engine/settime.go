package engine

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/protocol"
)

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

// givenTimes are the times that files have been given and that the library has yet to
// look at. It looks at once (mtimefs.go), and takes what it finds for what the disk has
// made of the time: if somebody saves in between, that save's time stands for the given
// one from then on, and the save is never seen.
type givenTimes struct {
	count atomic.Int32 // of times, so that a look at any file costs no lock
	mu    sync.Mutex
	times map[string]givenTime // protected by mu
}

type givenTime struct{ mtime, at time.Time }

// givenFor is how long the library's look may be away. One of later is another one.
const givenFor = 5 * time.Second

func newGivenTimes() *givenTimes { return &givenTimes{times: map[string]givenTime{}} }

func (g *givenTimes) note(name string, mtime time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.times[name] = givenTime{mtime, time.Now()}
	g.count.Store(int32(len(g.times)))
}

// correct is info with the time that the file has been given, if this is the first
// look at it and the file has a time that no disk would make of that.
func (g *givenTimes) correct(name string, info stfs.FileInfo) stfs.FileInfo {
	if g.count.Load() == 0 {
		return info
	}
	g.mu.Lock()
	given, ok := g.times[name]
	delete(g.times, name)
	g.count.Store(int32(len(g.times)))
	g.mu.Unlock()
	if !ok || time.Since(given.at) > givenFor || isKept(given.mtime, info.ModTime()) {
		return info
	}
	return timedInfo{info, given.mtime}
}

// isKept reports whether a disk may have made a time of the given one.
func isKept(given, kept time.Time) bool {
	for _, unit := range []time.Duration{1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second} {
		if kept.Equal(given.Truncate(unit)) || kept.Equal(given.Round(unit)) {
			return true
		}
	}
	return false
}

type timedInfo struct {
	stfs.FileInfo
	mtime time.Time
}

func (i timedInfo) ModTime() time.Time { return i.mtime }

// Chtimes gives a received file its time, by its name. By then somebody may have saved
// something else under that: with the time, and perhaps the size, of what was received
// no scan would see it, and it would be taken for what the other side deletes. It
// keeps its own.
func (d *disk) Chtimes(name string, atime, mtime time.Time) error {
	if stfs.IsTemporary(name) {
		return d.BasicFilesystem.Chtimes(name, atime, mtime)
	}
	path := filepath.Join(d.URI(), name)
	before, err := os.Lstat(path)
	if err == nil && before.Mode().IsRegular() && d.isAnother(name, before) {
		d.given.note(name, mtime)
		return os.Chtimes(path, time.Time{}, later(before.ModTime(), mtime))
	}
	if err := d.BasicFilesystem.Chtimes(name, atime, mtime); err != nil {
		return err
	}
	d.given.note(name, mtime)
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
