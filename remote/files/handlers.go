package files

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var (
	errEOF      = io.EOF
	errNoHandle = errors.New("no such handle")
)

// handlerFunc answers a request; r stands after its id.
type handlerFunc func(p *interposer, id uint32, r *reader) packet

// handler returns who answers the current request here, nil for the library.
func (p *interposer) handler(typ byte, size int) handlerFunc {
	switch typ {
	case typeInit:
		return func(*interposer, uint32, *reader) packet { return nil } // see answer
	case typeOpen, typeOpendir, typeStat, typeLstat, typeReadlink:
		if err := p.refusal(typ, size); err != nil {
			return refuse(err)
		}
		return nil
	case typeWrite:
		if p.appends(size) {
			return (*interposer).appendData
		}
		return nil
	case typeMkdir: // pkg/sftp ignores the mode
		return (*interposer).mkdir
	case typeRemove: // pkg/sftp removes folders with it
		return (*interposer).remove
	case typeRmdir: // pkg/sftp removes files with it
		return (*interposer).rmdir
	case typeRename: // pkg/sftp overwrites; clients ask for posix-rename to do that
		return (*interposer).rename
	case typeSymlink: // pkg/sftp makes relative targets absolute
		return (*interposer).symlink
	case typeRealpath: // pkg/sftp does not follow links
		return (*interposer).realpath
	case typeExtended:
		head, err := p.in.Peek(4 + min(size, 128))
		if err != nil {
			return nil
		}
		r := reader{b: head[5:]}
		_ = r.uint32()
		return extensions[r.string()]
	}
	if !p.srv.opts.Metrics.knows(typ) { // pkg/sftp ends the session
		return refuse(errUnsupported)
	}
	return nil
}

// refuse answers with an error.
func refuse(err error) handlerFunc {
	return func(_ *interposer, id uint32, _ *reader) packet { return statusPacket(id, err) }
}

func (p *interposer) mkdir(id uint32, r *reader) packet {
	path, a := p.srv.path(r.string()), r.attrs()
	if r.bad {
		return nil
	}
	mode := uint32(0o777)
	if a.flags&attrPermissions != 0 {
		mode = a.mode & 0o7777
	}
	return statusPacket(id, unix.Mkdir(path, mode))
}

func (p *interposer) remove(id uint32, r *reader) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	return statusPacket(id, unix.Unlink(path))
}

func (p *interposer) rmdir(id uint32, r *reader) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	return statusPacket(id, unix.Rmdir(path))
}

// rename fails if the new name exists, as section 6.5 says.
func (p *interposer) rename(id uint32, r *reader) packet {
	from, to := p.srv.path(r.string()), p.srv.path(r.string())
	if r.bad {
		return nil
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every filesystem can
		if _, serr := os.Lstat(to); serr == nil {
			err = unix.EEXIST
		} else {
			err = os.Rename(from, to)
		}
	}
	return statusPacket(id, err)
}

// symlink takes the target first, as OpenSSH does and the draft does not
// (OpenSSH PROTOCOL section 4.1), and leaves it as it is.
func (p *interposer) symlink(id uint32, r *reader) packet {
	target, link := r.string(), p.srv.path(r.string())
	if r.bad {
		return nil
	}
	return statusPacket(id, os.Symlink(target, link))
}

func (p *interposer) realpath(id uint32, r *reader) packet {
	name := r.string()
	if r.bad {
		return nil
	}
	return namePacket(id, realpath(p.srv.path(name)))
}

// realpath follows links as far as the path exists: clients ask also for names
// they are about to make.
func realpath(path string) string {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir, base := filepath.Split(path)
	if dir = filepath.Clean(dir); dir == path {
		return path
	}
	return filepath.Join(realpath(dir), base)
}

// refusal is why a request that names a path cannot be served, as far as
// pkg/sftp answers it otherwise than OpenSSH: a name below a file, or in a loop
// of links, is one that does not exist; and to open a named pipe would block
// until somebody opens its other end, while no offset could be read from it.
func (p *interposer) refusal(typ byte, size int) error {
	head, err := p.in.Peek(4 + min(size, maxHead))
	if err != nil {
		return nil
	}
	r := reader{b: head[5:]}
	_, name := r.uint32(), r.string()
	if r.bad {
		return nil
	}
	stat := os.Stat
	if typ == typeLstat || typ == typeReadlink {
		stat = os.Lstat
	}
	st, err := stat(p.srv.path(name))
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return os.ErrNotExist
	case err == nil && typ == typeOpen && st.Mode()&os.ModeNamedPipe != 0:
		return errPipe
	}
	return nil
}

var errPipe = errors.New("named pipes cannot be transferred")

// appends reports whether the current request writes to a file that was opened
// to append, which pkg/sftp does not know: it would write at the offset given,
// which clients leave at 0.
func (p *interposer) appends(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.handles.appending() {
		return false
	}
	head, err := p.in.Peek(4 + min(size, maxHead))
	if err != nil {
		return false
	}
	r := reader{b: head[5:]}
	_, name := r.uint32(), r.string()
	return !r.bad && p.handles.append[name]
}

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
