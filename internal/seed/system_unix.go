//go:build unix

package seed

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// deviceOf is the file system that a path is on.
func deviceOf(path string) uint64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev) //nolint:unconvert // its type differs between systems
	}
	return 0
}

// umask of this process, found by making a folder: setting it to read it would
// change it for other goroutines.
func umask() fs.FileMode {
	dir, err := os.MkdirTemp("", "okteto-umask-")
	if err != nil {
		return 0o777 // then modes are always set
	}
	defer os.RemoveAll(dir)
	probe := filepath.Join(dir, "probe")
	if err := os.Mkdir(probe, 0o777); err != nil {
		return 0o777
	}
	info, err := os.Stat(probe)
	if err != nil {
		return 0o777
	}
	return 0o777 &^ info.Mode().Perm()
}

// openPartial that is to be continued. A link leads elsewhere, and a pipe would
// have us wait.
func openPartial(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// tryLock locks an open file for as long as it is open, or fails at once. The
// lock ends with the process.
func tryLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
