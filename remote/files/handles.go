package files

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handles knows the files behind pkg/sftp's handles, which it keeps to itself.
// For each it holds an O_PATH descriptor: that is cheap, needs no permission on
// the file, and stays with the file when it is renamed. Folders are served here.
type handles struct {
	all map[string]handle
	// made counts the folders that were opened, to name the next one.
	made int
}

// handle is an open file or folder. The zero value is one that is not known.
type handle struct {
	known  bool
	fd     int // of a file; -1 if it was gone before it could be had
	flags  uint32
	folder *folder
}

func newHandles() *handles { return &handles{all: make(map[string]handle)} }

// opening is a request to open a file, until it is answered.
type opening struct {
	path  string
	flags uint32
}

// maxOpen is the most that one client may hold open; each file takes two
// descriptors. What is left is for other clients: OpenSSH's server has a process,
// and all descriptors, for each.
func maxOpen() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 64
	}
	return int(min(max(lim.Cur/8, 64), 4096))
}

var (
	errTooMany  = errors.New("too many open files")
	errNoHandle = errors.New("no such handle")
)

func (h *handles) open(name string, o opening) {
	h.close(name)
	fd, err := unix.Open(o.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	h.all[name] = handle{known: true, fd: fd, flags: o.flags}
}

// openFolder returns the handle of a folder.
func (h *handles) openFolder(f *folder) string {
	h.made++
	name := "folder " + strconv.Itoa(h.made)
	h.all[name] = handle{known: true, fd: -1, folder: f}
	return name
}

func (h *handles) close(name string) {
	x, ok := h.all[name]
	if !ok {
		return
	}
	if x.fd >= 0 {
		_ = unix.Close(x.fd)
	}
	if x.folder != nil {
		_ = x.folder.f.Close()
	}
	delete(h.all, name)
}

func (h *handles) closeAll() {
	for name := range h.all {
		h.close(name)
	}
}

// path leads to the file behind a handle, wherever it is now.
func (h *handles) path(name string) (string, error) {
	if x := h.all[name]; x.known && x.fd >= 0 {
		return "/proc/self/fd/" + strconv.Itoa(x.fd), nil
	}
	return "", errNoHandle
}

func (h *handles) stat(name string, st *unix.Stat_t) error {
	x := h.all[name]
	if !x.known || x.fd < 0 {
		return errNoHandle
	}
	return retry(func() error { return unix.Fstat(x.fd, st) })
}

// reopen opens the file behind a handle with the first of the access modes
// that it permits.
func (h *handles) reopen(name string, modes ...int) (*os.File, error) {
	path, err := h.path(name)
	if err != nil {
		return nil, err
	}
	for _, mode := range modes {
		var f *os.File
		if f, err = os.OpenFile(path, mode|unix.O_NONBLOCK, 0); err == nil {
			return f, nil
		}
	}
	return nil, err
}
