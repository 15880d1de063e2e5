package engine

import (
	"path/filepath"
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
	trashKeep = "100"
)

// versioners are the library's, by type. It has no way to add one; a version of it
// without this map does not link.
//
//go:linkname versioners github.com/syncthing/syncthing/lib/versioner.factories
var versioners map[string]func(config.FolderConfiguration) versioner.Versioner

var registerTrash = sync.OnceFunc(func() { versioners[trashType] = newTrash })

// trash is the library's simple versioner, whose names it has. That one keeps one
// version a second: a file that is replaced twice in one loses the first.
type trash struct {
	versioner.Versioner
	folder, versions stfs.Filesystem
	method           stfs.CopyRangeMethod

	mu sync.Mutex // one name is chosen and taken at a time
}

func newTrash(f config.FolderConfiguration) versioner.Versioner {
	f.FilesystemType = config.FilesystemTypeBasic // the trash itself does remove
	return &trash{
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
	now := time.Now()
	// The library looks at the clock again.
	if t.free(native, now) && t.free(native, now.Add(time.Second)) {
		return t.Versioner.Archive(path)
	}
	info, err := t.folder.Lstat(native)
	if stfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	at := now
	for !t.free(native, at) {
		at = at.Add(time.Second)
	}
	version := t.version(native, at)
	if err := osutil.RenameOrCopy(t.method, t.folder, t.versions, native, version); err != nil {
		return err
	}
	_ = t.versions.Chtimes(version, info.ModTime(), info.ModTime()) // as the library does
	return nil
}

func (t *trash) version(path string, at time.Time) string {
	return filepath.Join(filepath.Dir(path), versioner.TagFilename(filepath.Base(path), at.Format(versioner.TimeFormat)))
}

func (t *trash) free(path string, at time.Time) bool {
	_, err := t.versions.Lstat(t.version(path, at))
	return stfs.IsNotExist(err)
}
