package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "unsafe" // for go:linkname

	"github.com/syncthing/syncthing/lib/config"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/protocol"
)

// disk is the file system that the library sees of a folder: the plain one, but
// for what is said of its methods.
type disk struct {
	*stfs.BasicFilesystem
	gate   *gate  // nil: the folder is not guarded
	trash  *trash // nil: nothing is kept
	copies *copies
	// specials that are not synchronized.
	specials *specials
	placed   *placed
	given    *givenTimes
	// known is what the database has of a file on this side.
	known func(name string) (protocol.FileInfo, bool)
}

// useDisk has a folder served by a disk, and returns what all file systems of it
// share. The library looks file systems up by their type, and never forgets one.
func useDisk(f *config.FolderConfiguration, g *gate, known func(name string) (protocol.FileInfo, bool)) *disk {
	// What the function holds is never freed, so its address is used once.
	shared := &disk{gate: g, copies: newCopies(), specials: newSpecials(), placed: newPlaced(), given: newGivenTimes(), known: known}
	kind := stfs.FilesystemType(fmt.Sprintf("okteto-%p", shared))
	f.FilesystemType = config.FilesystemType(kind)
	if f.Versioning.Type == trashType {
		shared.trash = newTrash(*f)
	}
	stfs.RegisterFilesystemType(kind, func(root string, options ...stfs.Option) (stfs.Filesystem, error) {
		d := *shared
		d.BasicFilesystem = newBasicFilesystem(root, options...)
		return &d, nil
	})
	return shared
}

// newBasicFilesystem is the library's plain file system, without the layers that
// NewFilesystem puts around ours anyway. A version of the library without it does
// not link.
//
//go:linkname newBasicFilesystem github.com/syncthing/syncthing/lib/fs.newBasicFilesystem
func newBasicFilesystem(root string, options ...stfs.Option) *stfs.BasicFilesystem

// Lstat is what the library finds out with whether a file is gone
// (osutil.IsDeleted). A scan is told only what the guard has passed.
func (d *disk) Lstat(name string) (stfs.FileInfo, error) {
	info, err := d.BasicFilesystem.Lstat(name)
	if d.gate != nil && d.gate.scanning.Load() && d.gate.stops(d.BasicFilesystem, name, info, err) {
		return nil, errUnconfirmed
	}
	if err == nil {
		d.specials.see(name, info)
		info = d.given.correct(name, info)
	}
	return info, err
}

// anyMode is what the library makes a file with when the other side knows no
// modes, as on Windows (sharedpullerstate.go).
const anyMode = 0o666

// OpenFile gives a received file the mode of the one that it will replace, if the
// other side has not said a mode: a script stays executable, a key private.
func (d *disk) OpenFile(name string, flags int, mode stfs.FileMode) (stfs.File, error) {
	file, err := d.BasicFilesystem.OpenFile(name, flags, mode)
	if err != nil || mode != anyMode || flags&os.O_EXCL == 0 || !stfs.IsTemporary(name) {
		return file, err
	}
	base := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(filepath.Base(name), stfs.UnixTempPrefix), stfs.WindowsTempPrefix), ".tmp")
	if before, err := d.BasicFilesystem.Lstat(filepath.Join(filepath.Dir(name), base)); err == nil && before.IsRegular() {
		_ = d.Chmod(name, before.Mode()&stfs.ModePerm|0o600) // else it has the usual mode
	}
	return file, nil
}

// Remove keeps files in the trash that the library would remove for good, such as
// one that is in the place of a directory that the other side has deleted, or a
// conflict copy beyond their number.
func (d *disk) Remove(name string) error {
	if of, ok := ofAside(name); ok && d.trash != nil {
		return d.trash.put(name, of)
	}
	if d.keeps(name) && !d.copies.has(d.BasicFilesystem, name) {
		return d.trash.put(name, name)
	}
	return d.BasicFilesystem.Remove(name)
}

// Rename puts a received file in place. What is there goes to the trash, also what was
// saved there since the library has looked: nothing is ever overwritten.
func (d *disk) Rename(from, to string) error {
	if isConflictMove(from, to) {
		return d.moveForConflict(from, to)
	}
	if !stfs.IsTemporary(from) || stfs.IsTemporary(to) {
		return d.BasicFilesystem.Rename(from, to)
	}
	received, err := os.Lstat(filepath.Join(d.URI(), from))
	if err != nil {
		return err
	}
	if err := d.putInPlace(from, to); err != nil {
		return err
	}
	d.copies.forget(to)
	if received.Mode().IsRegular() {
		d.placed.note(to, received)
	}
	return nil
}

// moveForConflict gives the loser of a conflict the name of a copy, and leaves it its
// own if another file is about to take that.
func (d *disk) moveForConflict(from, to string) error {
	to = fitConflictName(to)
	if replacing() {
		if err := d.copies.link(d.BasicFilesystem, from, to); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return renameNew(filepath.Join(d.URI(), from), filepath.Join(d.URI(), to))
}

func (d *disk) putInPlace(from, to string) error {
	if d.trash == nil {
		return d.BasicFilesystem.Rename(from, to)
	}
	for range renameAgain {
		err := renameNew(filepath.Join(d.URI(), from), filepath.Join(d.URI(), to))
		if !errors.Is(err, stfs.ErrExist) {
			return err
		}
		if !d.keeps(to) {
			break
		}
		err = d.trash.replace(from, to, func(path string) bool { return d.copies.isOf(d.BasicFilesystem, path, to) })
		if errors.Is(err, stfs.ErrNotExist) {
			continue // it is gone by now
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if d.copies.has(d.BasicFilesystem, to) {
			break
		}
		if err := d.trash.put(to, to); err != nil {
			return err
		}
	}
	return d.BasicFilesystem.Rename(from, to)
}

// renameAgain bounds how often a file that is saved again and again is moved away.
const renameAgain = 3

// keeps reports whether a path is a file that somebody may miss.
func (d *disk) keeps(name string) bool {
	if d.trash == nil || stfs.IsTemporary(name) || stfs.IsInternal(name) {
		return false
	}
	info, err := d.BasicFilesystem.Lstat(name)
	return err == nil && info.IsRegular()
}
