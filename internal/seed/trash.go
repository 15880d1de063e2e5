package seed

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// trash keeps what a seed replaces or sets aside, in the form of the engine's
// own trash can, so that one command lists and restores both.
type trash struct {
	dir string
	at  time.Time
}

// trashTime is the tag in the names of Syncthing's versions.
const trashTime = "20060102-150405"

func newTrash(dir string) *trash {
	return &trash{dir: dir, at: time.Now()}
}

// take moves root/name to the trash.
func (t *trash) take(root, name string) error {
	if t.dir == "" {
		return errors.New("there is no trash to move it to")
	}
	from := filepath.Join(root, filepath.FromSlash(name))
	to := t.free(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		err = moveAcross(from, to)
	}
	return err
}

// free is a name that is not taken: times are in seconds.
func (t *trash) free(name string) string {
	ext := filepath.Ext(name)
	for at := t.at; ; at = at.Add(time.Second) {
		path := filepath.Join(t.dir, filepath.FromSlash(name[:len(name)-len(ext)]+"~"+at.Format(trashTime)+ext))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return path
		}
	}
}
