//go:build linux

package users

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a small file system of its own, which can be filled.
type Disk struct{ dir string }

// NewDisk mounts one of so many MiB over the folder dir until the test is over;
// nil where that is not allowed.
func NewDisk(t testing.TB, dir string, mib int) *Disk {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		return nil
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return &Disk{dir}
}

func (d *Disk) filler() string { return filepath.Join(d.dir, "filler") }

// Fill leaves no space.
func (d *Disk) Fill() error {
	var stat unix.Statfs_t
	if err := unix.Statfs(d.dir, &stat); err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	file, err := os.OpenFile(d.filler(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	defer file.Close()
	for size := int64(stat.Bavail) * stat.Bsize; size >= stat.Bsize; size /= 2 {
		info, err := file.Stat()
		if err != nil {
			return fmt.Errorf("fill disk: %w", err)
		}
		err = unix.Fallocate(int(file.Fd()), 0, info.Size(), size)
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("fill disk: %w", err)
		}
	}
	return nil
}

// Free what Fill has taken.
func (d *Disk) Free() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free disk: %w", err)
	}
	return nil
}
