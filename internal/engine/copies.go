package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	stfs "github.com/syncthing/syncthing/lib/fs"
)

// copies are the conflict copies that are made before the file that has won is in
// place. The library renames the loser to the copy's name and then the winner to the
// file's (moveForConflict), and in between there is no file; here the loser has both
// names until the winner takes one from it.
type copies struct {
	mu sync.Mutex
	of map[string]string // path of a file → that of its copy; protected by mu
}

func newCopies() *copies { return &copies{of: map[string]string{}} }

// isConflictMove reports whether a renaming is that of a loser to a conflict copy.
func isConflictMove(from, to string) bool {
	return strings.Contains(filepath.Base(to), conflictMark) && !stfs.IsTemporary(from) && !stfs.IsTemporary(to) &&
		filepath.Dir(from) == filepath.Dir(to)
}

// link gives a file the second name. The error is errors.ErrUnsupported where that
// cannot be done; and a copy that is there is never replaced. One that an attempt has
// made which came to nothing is enough.
func (c *copies) link(disk *stfs.BasicFilesystem, from, to string) error {
	if c.has(disk, from) {
		return nil
	}
	info, err := disk.Lstat(from)
	if err != nil {
		return err
	}
	if !info.IsRegular() {
		return errors.ErrUnsupported
	}
	err = os.Link(filepath.Join(disk.URI(), from), filepath.Join(disk.URI(), to))
	if errors.Is(err, stfs.ErrExist) || errors.Is(err, stfs.ErrNotExist) {
		return err
	}
	if err != nil { // not for this file, or on no disk of this kind
		return errors.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[from] = to
	return nil
}

// has reports whether a file has the name of its conflict copy as well.
func (c *copies) has(disk *stfs.BasicFilesystem, path string) bool { return c.isOf(disk, path, path) }

// isOf reports whether what is at path is the conflict copy of name under another
// name.
func (c *copies) isOf(disk *stfs.BasicFilesystem, path, name string) bool {
	c.mu.Lock()
	to, ok := c.of[name]
	c.mu.Unlock()
	if !ok {
		return false
	}
	mine, err := os.Lstat(filepath.Join(disk.URI(), path))
	if err != nil {
		return false
	}
	other, err := os.Lstat(filepath.Join(disk.URI(), to))
	return err == nil && os.SameFile(mine, other)
}

// forget a file whose winner is in place.
func (c *copies) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, name)
}
