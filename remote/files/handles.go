package files

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handles knows the files behind pkg/sftp's handles, which it keeps to itself.
// For each it holds an O_PATH descriptor: that is cheap, needs no permission on
// the file, and stays with the file when it is renamed.
type handles struct{ all map[string]handle }

// handle is one open file. The zero value is a handle that is not known.
type handle struct {
	fd            int
	known, append bool
}

func newHandles() *handles { return &handles{all: make(map[string]handle)} }

// opening is a request to open a file, until it is answered.
type opening struct {
	path   string
	append bool
}

func (h *handles) open(name string, o opening) {
	h.close(name)
	if fd, err := unix.Open(o.path, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		h.all[name] = handle{fd: fd, known: true, append: o.append}
	}
}

func (h *handles) close(name string) {
	if x, ok := h.all[name]; ok {
		_ = unix.Close(x.fd)
		delete(h.all, name)
	}
}

func (h *handles) closeAll() {
	for name := range h.all {
		h.close(name)
	}
}

func (h *handles) stat(name string, st *unix.Stat_t) error {
	x, ok := h.all[name]
	if !ok {
		return errNoHandle
	}
	return retry(func() error { return unix.Fstat(x.fd, st) })
}

// reopen opens the file behind a handle with the first of the access modes
// that it permits.
func (h *handles) reopen(name string, modes ...int) (*os.File, error) {
	x, ok := h.all[name]
	if !ok {
		return nil, errNoHandle
	}
	path := "/proc/self/fd/" + strconv.Itoa(x.fd)
	var err error
	for _, mode := range modes {
		var f *os.File
		if f, err = os.OpenFile(path, mode|unix.O_NONBLOCK, 0); err == nil {
			return f, nil
		}
	}
	return nil, err
}
