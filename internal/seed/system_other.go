//go:build !unix

package seed

import (
	"errors"
	"io/fs"
	"os"
)

// deviceOf is not known here.
func deviceOf(string) uint64 { return 0 }

// umask does not exist here.
func umask() fs.FileMode { return 0o777 }

// openPartial that is to be continued.
func openPartial(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// tryLock does not exist here.
func tryLock(*os.File) error { return errors.ErrUnsupported }
