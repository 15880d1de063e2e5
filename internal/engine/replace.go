package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/osutil"
)

// replace puts a received file in the place of another one, which goes to the trash.
// At any moment the name leads to one of them, and what is saved under it meanwhile is
// kept too, since they exchange their names. What is kept under another name already
// is only removed. The error is errors.ErrUnsupported, and nothing is done, where the
// system or the file system has no such call.
func (t *trash) replace(from, to string, kept func(path string) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	aside := asideName(to)
	if err := t.folder.Rename(from, aside); err != nil {
		return err
	}
	exchanged, err := t.exchange(aside, to, kept)
	if !exchanged {
		err = errors.Join(err, t.folder.Rename(aside, from))
	}
	return err
}

// exchange gives the file aside the name, and moves the one that had it to the trash.
// It reports whether the former has the name now. t.mu must be held.
func (t *trash) exchange(aside, to string, kept func(path string) bool) (bool, error) {
	swap := func() error {
		// In this order: a watcher is told of two renamings, and the later one is
		// that to the file's name.
		return exchange(filepath.Join(t.folder.URI(), to), filepath.Join(t.folder.URI(), aside))
	}
	if !t.elsewhere || kept(to) {
		if err := swap(); err != nil {
			return false, err
		}
		remove := func() error { return t.move(aside, to) }
		if kept(aside) {
			remove = func() error { return t.folder.Remove(aside) }
		}
		if err := remove(); err != nil {
			back := swap()
			return back != nil, errors.Join(err, back)
		}
		return true, nil
	}
	// The trash may have no room for a copy, so that is made first.
	before, err := t.folder.Lstat(to)
	if err != nil {
		return false, err
	}
	version, err := t.newVersion(to)
	if err != nil {
		return false, err
	}
	err = osutil.Copy(t.method, t.folder, t.versions, to, version)
	if err == nil {
		err = swap()
	}
	if err != nil {
		_ = t.versions.Remove(version)
		return false, err
	}
	t.finish(to, version, before)
	// What cannot be removed from the folder stays aside, and is found by a scan.
	_ = t.dropAside(aside, to, before)
	return true, nil
}

// renameIfFree renames unless something is there, where the system has no such call.
func renameIfFree(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: os.ErrExist}
	}
	return os.Rename(from, to)
}

// asideMark is in the names of files that are on their way to the trash. Like all
// temporary names they are not synchronized; and a scan has those removed that a
// crash has left, which moves them to the trash (disk.Remove).
const asideMark = "okteto-trash-"

// asideName is a name beside a file for the time that it takes to get it to the trash.
func asideName(name string) string {
	base := filepath.Base(name)
	const room = 55 // for what is put around it
	base = shorten(base, longestName-room)
	return filepath.Join(filepath.Dir(name), fmt.Sprintf("%s%s%d.%s.tmp", stfs.UnixTempPrefix, asideMark, time.Now().UnixNano(), base))
}

// ofAside is the name of the file that was put aside under a name.
func ofAside(name string) (string, bool) {
	rest, ok := strings.CutPrefix(filepath.Base(name), stfs.UnixTempPrefix+asideMark)
	if !ok {
		return "", false
	}
	_, base, ok := strings.Cut(strings.TrimSuffix(rest, ".tmp"), ".")
	return filepath.Join(filepath.Dir(name), base), ok && base != ""
}

// finishFunction is where the library replaces files (folder_sendrecv.go).
const finishFunction = ".performFinish"

// replacing reports whether the library is about to give the name of the file that it
// archives to another one. It tells its versioner only that a file has to go. Where
// it is wrong, the file is absent for a moment.
func replacing() bool {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, finishFunction) {
			return true
		}
		if !more {
			return false
		}
	}
}
