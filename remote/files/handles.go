package files

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handles knows the files behind pkg/sftp's handles, which it keeps to itself.
// For each it holds an O_PATH descriptor: that is cheap, needs no permission on
// the file, and stays with the file when it is renamed.
type handles struct{ fds map[string]int }

func newHandles() *handles { return &handles{fds: make(map[string]int)} }

func (h *handles) open(name, path string) {
	h.close(name)
	if fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		h.fds[name] = fd
	}
}

func (h *handles) close(name string) {
	if fd, ok := h.fds[name]; ok {
		_ = unix.Close(fd)
		delete(h.fds, name)
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
