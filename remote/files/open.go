package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// refusal is why a file cannot be opened, as far as pkg/sftp answers otherwise than
// OpenSSH. A name below a file, or in a loop of links, is one that does not exist.
// To open a named pipe would block until somebody opens its other end, while no
// offset could be read from it.
func (p *interposer) refusal(size int) error {
	name, flags, ok := p.peekOpen(min(size, maxHead))
	if !ok {
		return nil
	}
	p.mu.Lock()
	open := len(p.handles.all) + len(p.opening)
	p.mu.Unlock()
	if open >= p.maxOpen {
		return errTooMany
	}
	path := p.srv.path(name)
	if strings.HasSuffix(name, "/") && flags&openCreate != 0 && isDirectory(filepath.Dir(strings.TrimRight(path, "/"))) {
		return unix.EISDIR
	}
	stat := os.Stat
	if flags&openExcl != 0 {
		stat = os.Lstat // does not follow links either
	}
	st, err := stat(path)
	switch {
	case name == "":
		return unix.ENOENT
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		return err
	case strings.HasSuffix(name, "/") && err != nil: // pkg/sftp cuts it off
		return err
	case err != nil:
		return nil
	case st.Mode()&os.ModeNamedPipe != 0:
		return errPipe
	}
	return nil
}

// onHandle returns who answers a request on a handle here: pkg/sftp does not
// append, has one status for all errors, and knows no folders.
func (p *interposer) onHandle(typ byte, size int) handlerFunc {
	x := p.handleOf(size)
	switch {
	case x.folder != nil && typ == typeClose:
		return (*interposer).closeFolder
	case !x.known && typ == typeClose:
		return refuse(unix.EBADF)
	case !x.known || x.folder != nil:
		return refuse(errNoHandle)
	case typ == typeRead && x.flags&(openRead|openWrite) == openWrite, typ == typeWrite && x.flags&openWrite == 0:
		return refuse(unix.EBADF)
	case typ == typeWrite && x.flags&openAppend != 0:
		return (*interposer).appendData
	}
	return nil
}

func (p *interposer) closeFolder(id uint32, r *reader) packet {
	name := r.string()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handles.close(name)
	return statusPacket(id, nil)
}

// peekOpen returns the path and the flags of a request to open a file.
func (p *interposer) peekOpen(size int) (name string, flags uint32, ok bool) {
	head, err := p.in.Peek(4 + size)
	if err != nil {
		return "", 0, false
	}
	r := reader{b: head[5:]}
	_, name, flags = r.uint32(), r.string(), r.uint32()
	return name, flags, !r.bad
}

var errPipe = errors.New("named pipes cannot be transferred")

// peekName returns the path or handle with which the current request begins, if it
// is in the first size bytes.
func (p *interposer) peekName(size int) (string, bool) {
	head, err := p.in.Peek(4 + size)
	if err != nil {
		return "", false
	}
	r := reader{b: head[5:]}
	_, name := r.uint32(), r.string()
	return name, !r.bad
}

// handleOf returns what is known of the handle of the current request.
func (p *interposer) handleOf(size int) handle {
	const enough = 64 // handles are short
	name, ok := p.peekName(min(size, enough))
	if !ok {
		return handle{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handles.all[name]
}

// appendData writes to a file that was opened to append: wherever its end is now.
// The offset does not count, and clients leave it at 0.
func (p *interposer) appendData(id uint32, r *reader) packet {
	name, _, data := r.string(), r.uint64(), r.string()
	if r.bad {
		return nil
	}
	f, err := p.reopen(name, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return statusPacket(id, err)
	}
	defer f.Close()
	_, err = f.WriteString(data)
	return statusPacket(id, err)
}
