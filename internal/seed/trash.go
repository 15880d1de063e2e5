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
	tag string
}

// trashTime is the tag in the names of Syncthing's versions.
const trashTime = "20060102-150405"

func newTrash(dir string) *trash {
	return &trash{dir: dir, tag: time.Now().Format(trashTime)}
}

// take moves root/name to the trash.
func (t *trash) take(root, name string) error {
	if t.dir == "" {
		return errors.New("there is no trash to move it to")
	}
	from := filepath.Join(root, filepath.FromSlash(name))
	ext := filepath.Ext(name)
	to := filepath.Join(t.dir, filepath.FromSlash(name[:len(name)-len(ext)]+"~"+t.tag+ext))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		err = moveAcross(from, to)
	}
	return err
}
