package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/db/backend"
	"github.com/syncthing/syncthing/lib/locations"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"okteto/internal/contract"
)

// brokenSuffix marks a database that could not be opened; the newest is kept.
const brokenSuffix = ".broken"

const (
	// newerDatabase is the name of Syncthing 2's, which 1.30 cannot read.
	newerDatabase = "index-v2"
	// asideSuffix marks one that was there; Syncthing 2 would start anew, too.
	asideSuffix = ".aside"
)

// openDatabase opens or makes the database and reports whether it is new. One
// that is damaged is set aside: both sides hold the same files, so a new
// database is filled by a scan, and differing files become conflicts.
func (e *Engine) openDatabase(raw config.Configuration) (fresh bool, err error) {
	path := filepath.Join(e.cfg.DataDir, locations.LevelDBDir)
	if err := e.setNewerAside(); err != nil {
		return false, err
	}
	if err := e.mistrust(); err != nil {
		return false, err
	}
	_, err = os.Stat(path)
	fresh = errors.Is(err, fs.ErrNotExist)
	if e.db, err = e.openLowlevel(path, raw); err == nil {
		return fresh, nil
	}
	if isDiskOrLock(err) {
		return false, fmt.Errorf("open sync database %s: %w", path, err)
	}
	e.log.Warn("sync database is damaged: starting with a new one", "path", path, "err", err)
	if err := e.setBrokenAside(path); err != nil {
		return false, err
	}
	if e.db, err = e.openLowlevel(path, raw); err != nil {
		return false, fmt.Errorf("make sync database %s: %w", path, err)
	}
	return true, nil
}

func (e *Engine) setBrokenAside(path string) error {
	if err := os.RemoveAll(path + brokenSuffix); err != nil {
		return fmt.Errorf("remove old sync database: %w", err)
	}
	if err := os.Rename(path, path+brokenSuffix); err != nil {
		return fmt.Errorf("set damaged sync database aside: %w", err)
	}
	return nil
}

// setNewerAside moves a database of Syncthing 2 out of the way: what it knows of
// the folders is old from now on.
func (e *Engine) setNewerAside() error {
	path := filepath.Join(e.cfg.DataDir, newerDatabase)
	if _, err := os.Lstat(path); err != nil {
		return nil // there is none
	}
	err := os.RemoveAll(path + asideSuffix)
	if err == nil {
		err = os.Rename(path, path+asideSuffix)
	}
	if err != nil {
		return fmt.Errorf("set the database of Syncthing 2 aside: %w", err)
	}
	e.log.Warn("the database here is Syncthing 2's, which cannot be read: it is set aside, and files are compared anew", "path", path+asideSuffix)
	return nil
}

// writeBuffer is how many bytes the database keeps in memory before it writes a
// table. It has two of them, and the library's own 16 MiB made up half of what a
// first scan of 50,000 files takes in all; with 4 MiB that costs a fifth more time.
const writeBuffer = 8 << 20

// shrinkWriteBuffer sets it by the only means that the library offers.
var shrinkWriteBuffer = sync.OnceFunc(func() {
	const variable = "STDEBUG_WriteBuffer"
	if os.Getenv(variable) == "" {
		_ = os.Setenv(variable, strconv.Itoa(writeBuffer)) // fails for no valid name
	}
})

func (e *Engine) openLowlevel(path string, raw config.Configuration) (*db.Lowlevel, error) {
	shrinkWriteBuffer()
	var err error
	if e.room, err = openRoom(path, e.cfg.DataDir, backend.Tuning(raw.Options.DatabaseTuning), e.log); err != nil {
		return nil, err
	}
	ll, err := db.NewLowlevel(e.room, e.events)
	if err != nil {
		return nil, errors.Join(err, e.room.failure(), e.room.Close())
	}
	if err := db.UpdateSchema(ll); err != nil {
		return nil, errors.Join(err, e.room.failure(), ll.Close())
	}
	// Folders that are no longer configured leave nothing behind.
	wanted := map[string]bool{}
	for _, f := range raw.Folders {
		wanted[f.ID] = true
	}
	for _, folder := range ll.ListFolders() {
		if !wanted[folder] {
			db.DropFolder(ll, folder)
		}
	}
	return ll, nil
}

// errNotWritable is a database that can be read, but not opened to write.
var errNotWritable = errors.New("it can be read only")

// explain finds out why a database cannot be opened: the library's own error hides
// its cause. What can be read from end to end of its log is not damaged.
func explain(path string, err error) error {
	reader, cause := leveldb.OpenFile(path, &opt.Options{ReadOnly: true, ErrorIfMissing: true, Strict: opt.StrictAll})
	if cause == nil {
		cause = errors.Join(errNotWritable, reader.Close())
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// isDiskOrLock tells an environment's trouble from a damaged database: a full
// disk, missing rights, or another engine that has it open.
func isDiskOrLock(err error) bool {
	for _, cause := range []error{
		errNotWritable, storage.ErrLocked,
		syscall.ENOSPC, syscall.EDQUOT, syscall.EACCES, syscall.EPERM, syscall.EROFS,
		syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.EIO,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// ResetDatabase removes the database below dataDir. The next start scans
// everything and merges with what the peer has; nothing is deleted because of
// it. No engine may be running there.
func ResetDatabase(dataDir string) error {
	entries, err := os.ReadDir(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reset sync database: %w", err)
	}
	for _, entry := range entries {
		// index-v0.14.0.db is ours and 1.x's, index-v2 is 2.x's.
		if name := entry.Name(); strings.HasPrefix(name, "index-v") {
			if err := os.RemoveAll(filepath.Join(dataDir, name)); err != nil {
				return fmt.Errorf("reset sync database: %w", err)
			}
		}
	}
	return nil
}

// prepareRoot makes a folder's root, and its marker when the folder is new to
// the database. A marker that goes missing later stops the folder.
func prepareRoot(f Folder, fresh bool) error {
	if err := os.MkdirAll(f.Path, 0o777); err != nil {
		return fmt.Errorf("make sync folder: %w", err)
	}
	if f.Marker != contract.IgnoreFile || !fresh {
		return nil
	}
	marker, err := os.OpenFile(filepath.Join(f.Path, f.Marker), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("make folder marker: %w", err)
	}
	return marker.Close()
}

// caseSensitive reports whether a folder's file system tells upper from lower
// case. A wrong "no" costs time, a wrong "yes" costs files: in doubt, no.
func caseSensitive(root string) bool {
	probe, err := os.CreateTemp(root, ".syncthing.case-*.tmp") // a name that is never synchronized
	if err != nil {
		return false
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	name := filepath.Base(probe.Name())
	_, err = os.Lstat(filepath.Join(root, strings.ToUpper(name)))
	return errors.Is(err, fs.ErrNotExist)
}
