package engine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames unless something is there (renameat2(2), RENAME_NOREPLACE).
func renameNew(from, to string) error {
	err := renameat2(from, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, errors.ErrUnsupported) {
		return renameIfFree(from, to)
	}
	return err
}

// exchange two names (renameat2(2), RENAME_EXCHANGE).
func exchange(a, b string) error { return renameat2(a, b, unix.RENAME_EXCHANGE) }

func renameat2(from, to string, flags uint) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	if errors.Is(err, unix.EINVAL) {
		err = unix.ENOTSUP // the file system does not know the flag
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
