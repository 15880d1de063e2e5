package files

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handles knows the files behind pkg/sftp's handles, which it keeps to itself.
// For each it holds an O_PATH descriptor: that is cheap, needs no permission on
// the file, and stays with the file when it is renamed.
type handles struct {
	fds    map[string]int
	append map[string]bool // opened to append
}

func newHandles() *handles {
	return &handles{fds: make(map[string]int), append: make(map[string]bool)}
}

// opening is a request to open a file, until it is answered.
type opening struct {
	path   string
	append bool
}

func (h *handles) open(name string, o opening) {
	h.close(name)
	fd, err := unix.Open(o.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	h.fds[name] = fd
	if o.append {
		h.append[name] = true
	}
}

// appending reports whether any file is open to append.
func (h *handles) appending() bool { return len(h.append) > 0 }

func (h *handles) close(name string) {
	if fd, ok := h.fds[name]; ok {
		_ = unix.Close(fd)
		delete(h.fds, name)
		delete(h.append, name)
	}
}

func (h *handles) closeAll() {
	for name := range h.fds {
		h.close(name)
	}
}

// reopen opens the file behind a handle with the first of the access modes
// that it permits.
func (h *handles) reopen(name string, modes ...int) (*os.File, error) {
	fd, ok := h.fds[name]
	if !ok {
		return nil, errNoHandle
	}
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	var err error
	for _, mode := range modes {
		var f *os.File
		if f, err = os.OpenFile(path, mode|unix.O_NONBLOCK, 0); err == nil {
			return f, nil
		}
	}
	return nil, err
}
