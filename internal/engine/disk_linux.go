package engine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames unless something is there (renameat2(2), RENAME_NOREPLACE), or
// as ever where the file system cannot tell.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return os.Rename(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
