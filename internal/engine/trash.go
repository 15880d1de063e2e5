package engine

import (
	"fmt"
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

var registerTrash = sync.OnceFunc(func() { versioners[trashType] = newTrash })

// trash has the names of the library's simple versioner, which lists, restores and
// cleans. That one keeps one version a second, so that a file that is replaced twice
// in one loses the first; and a trash on another disk loses what is written to a
// file while it is copied there.
type trash struct {
	versioner.Versioner
	folder, versions stfs.Filesystem
	method           stfs.CopyRangeMethod
	keep             int // versions of one file

	mu sync.Mutex // one name is chosen and taken at a time
}

func newTrash(f config.FolderConfiguration) versioner.Versioner {
	f.FilesystemType = config.FilesystemTypeBasic // the trash itself does remove
	keep, err := strconv.Atoi(f.Versioning.Params["keep"])
	if err != nil {
		keep = trashKeepDefault
	}
	return &trash{
		keep:      keep,
		Versioner: versioners["simple"](f),
		folder:    f.Filesystem(nil),
		versions:  stfs.NewFilesystem(f.Versioning.FSType.ToFS(), f.Versioning.FSPath),
		method:    f.CopyRangeMethod.ToFS(),
	}
}

// Archive implements versioner.Versioner: the file is moved to the trash, under the
// next second that is free.
func (t *trash) Archive(path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	native := osutil.NativeFilename(path)
	info, err := t.folder.Lstat(native)
	if stfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	version := t.freeVersion(native)
	if err := t.versions.MkdirAll(filepath.Dir(version), 0o755); err != nil {
		return err
	}
	if os.Rename(filepath.Join(t.folder.URI(), native), filepath.Join(t.versions.URI(), version)) != nil {
		if err := t.copyAway(native, version, info); err != nil {
			return err
		}
	}
	_ = t.versions.Chtimes(version, info.ModTime(), info.ModTime()) // as the library does
	t.prune(native)
	return nil
}

// copyAway moves a file to a trash on another disk. It is copied first, so that
// there is one whatever happens; and what was written to it since, by somebody who
// had it open, is copied as well.
func (t *trash) copyAway(native, version string, before stfs.FileInfo) error {
	if err := osutil.Copy(t.method, t.folder, t.versions, native, version); err != nil {
		return err
	}
	// A name that is never synchronized, and is removed some day if we cannot.
	aside := filepath.Join(filepath.Dir(native), fmt.Sprintf("%sokteto-trash-%d.tmp", stfs.UnixTempPrefix, time.Now().UnixNano()))
	if err := t.folder.Rename(native, aside); err != nil {
		return err
	}
	after, err := t.folder.Lstat(aside)
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = osutil.Copy(t.method, t.folder, t.versions, aside, t.freeVersion(native))
	}
	if err != nil {
		return err
	}
	return t.folder.Remove(aside)
}

// list the versions of a file, oldest first.
func (t *trash) list(native string) []string {
	tagged := versioner.TagFilename(filepath.Base(native), versionGlob)
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
	return filepath.Join(filepath.Dir(path), versioner.TagFilename(filepath.Base(path), at.Format(versioner.TimeFormat)))
}

func (t *trash) free(path string, at time.Time) bool {
	_, err := t.versions.Lstat(t.version(path, at))
	return stfs.IsNotExist(err)
}
