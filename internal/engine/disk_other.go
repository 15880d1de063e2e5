//go:build !linux

package engine

import (
	"fmt"
	"io/fs"
	"os"
)

// renameNew renames unless something is there already.
func renameNew(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, fs.ErrExist)
	}
	return os.Rename(from, to)
}
