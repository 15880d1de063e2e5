package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

func renameNew(from, to string) error { return renameIfFree(from, to) }

// exchange two names (renamex_np(2), RENAME_SWAP).
func exchange(a, b string) error {
	if err := unix.RenamexNp(a, b, unix.RENAME_SWAP); err != nil {
		return &os.LinkError{Op: "rename", Old: a, New: b, Err: err}
	}
	return nil
}
