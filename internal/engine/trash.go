package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/syncthing/syncthing/lib/config"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/versioner"
)

const (
	// trashType names our versioner in the configuration.
	trashType = "okteto-trash"
	// trashKeep is how many versions of one file are kept.
	trashKeep, trashKeepDefault = "100", 100
)

// versioners are the library's, by type. It has no way to add one; a version of it
// without this map does not link.
//
//go:linkname versioners github.com/syncthing/syncthing/lib/versioner.factories
var versioners map[string]func(config.FolderConfiguration) versioner.Versioner

var registerTrash = sync.OnceFunc(func() {
	versioners[trashType] = func(f config.FolderConfiguration) versioner.Versioner { return newTrash(f) }
})

// trash has the names of the library's simple versioner, which lists, restores and
// cleans. That one keeps one version a second, so that a file that is replaced twice
// in one loses the first; and a trash on another disk loses what is written to a
// file while it is copied there.
type trash struct {
	versioner.Versioner
	folder, versions stfs.Filesystem
	method           stfs.CopyRangeMethod
	keep             int  // versions of one file
	onDisk           bool // the folder is on a disk, which keeps what is replaced

	mu        sync.Mutex // one name is chosen and taken at a time
	elsewhere bool       // files cannot be renamed to the trash; protected by mu
}

func newTrash(f config.FolderConfiguration) *trash {
	onDisk := f.FilesystemType != config.FilesystemTypeBasic
	f.FilesystemType = config.FilesystemTypeBasic // the trash itself does remove
	keep, err := strconv.Atoi(f.Versioning.Params["keep"])
	if err != nil {
		keep = trashKeepDefault
	}
	return &trash{
		keep:      keep,
		onDisk:    onDisk,
		Versioner: versioners["simple"](f),
		folder:    f.Filesystem(nil),
		versions:  stfs.NewFilesystem(f.Versioning.FSType.ToFS(), f.Versioning.FSPath),
		method:    f.CopyRangeMethod.ToFS(),
	}
}

// Archive implements versioner.Versioner: the file is moved to the trash, under the
// next second that is free. One that the library is about to replace stays: the disk
// keeps it when it is replaced, so that nobody finds it absent.
func (t *trash) Archive(path string) error {
	if t.onDisk && replacing() {
		return nil
	}
	return t.put(osutil.NativeFilename(path), osutil.NativeFilename(path))
}

// put moves a file to the trash as a version of name.
func (t *trash) put(path, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.move(path, name)
}

// move does what put does. t.mu must be held.
func (t *trash) move(path, name string) error {
	info, err := t.folder.Lstat(path)
	if stfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	version, err := t.newVersion(name)
	if err != nil {
		return err
	}
	if t.rename(path, version) != nil {
		if err := t.copyAway(path, name, version, info); err != nil {
			return err
		}
	}
	t.finish(name, version, info)
	return nil
}

// rename moves a file to the trash if that is on the same disk.
func (t *trash) rename(path, version string) error {
	err := os.Rename(filepath.Join(t.folder.URI(), path), filepath.Join(t.versions.URI(), version))
	t.elsewhere = err != nil
	return err
}

// finish gives a version the time of the file, as the library does, and removes
// those beyond their number.
func (t *trash) finish(name, version string, of stfs.FileInfo) {
	_ = t.versions.Chtimes(version, of.ModTime(), of.ModTime())
	t.prune(name)
}

// copyAway moves a file to a trash on another disk. It is copied first, so that
// there is one whatever happens; and what was written to it since, by somebody who
// had it open, is copied as well.
func (t *trash) copyAway(path, name, version string, before stfs.FileInfo) error {
	if err := osutil.Copy(t.method, t.folder, t.versions, path, version); err != nil {
		return err
	}
	aside := asideName(name)
	if err := t.folder.Rename(path, aside); err != nil {
		return err
	}
	return t.dropAside(aside, name, before)
}

// dropAside removes a file of which there is a copy in the trash, made when the file
// was as before. What has changed since is copied too. t.mu must be held.
func (t *trash) dropAside(aside, name string, before stfs.FileInfo) error {
	after, err := t.folder.Lstat(aside)
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = osutil.Copy(t.method, t.folder, t.versions, aside, t.freeVersion(name))
	}
	if err != nil {
		return err
	}
	return t.folder.Remove(aside)
}

// list the versions of a file, oldest first.
func (t *trash) list(native string) []string {
	tagged := versioner.TagFilename(versionBase(native), versionGlob)
	found, err := t.versions.Glob(filepath.Join(filepath.Dir(native), tagged))
	if err != nil {
		return nil // a name with a pattern in it
	}
	slices.Sort(found) // by time
	return found
}

// prune removes the oldest versions beyond their number.
func (t *trash) prune(native string) {
	found := t.list(native)
	for len(found) > t.keep {
		_ = t.versions.Remove(found[0])
		found = found[1:]
	}
}

// versionGlob matches versioner.TimeFormat.
const versionGlob = "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]"

// newVersion is a name in the trash, in a folder that exists.
func (t *trash) newVersion(native string) (string, error) {
	version := t.freeVersion(native)
	return version, t.versions.MkdirAll(filepath.Dir(version), 0o755)
}

func (t *trash) freeVersion(native string) string {
	at, newest := time.Now(), ""
	if found := t.list(native); len(found) > 0 {
		newest = found[len(found)-1]
	}
	for !t.free(native, at) || t.version(native, at) <= newest {
		at = at.Add(time.Second)
	}
	return t.version(native, at)
}

func (t *trash) version(path string, at time.Time) string {
	return filepath.Join(filepath.Dir(path), versioner.TagFilename(versionBase(path), at.Format(versioner.TimeFormat)))
}

// versionBase is what a file is called in the trash: its name, or if the time does not
// fit behind that, as much of it as does.
func versionBase(path string) string {
	return shorten(filepath.Base(path), longestName-len("~"+versioner.TimeFormat))
}

// free reports whether a version may have a time. What cannot be looked at, the
// attempt to use it tells.
func (t *trash) free(path string, at time.Time) bool {
	_, err := t.versions.Lstat(t.version(path, at))
	return err != nil
}
