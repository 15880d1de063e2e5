package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

var errEOF = io.EOF

// handlerFunc answers a request; r stands after its id.
type handlerFunc func(p *interposer, id uint32, r *reader) packet

// handler returns who answers the current request here, nil for the library.
func (p *interposer) handler(typ byte, size int) handlerFunc {
	switch typ {
	case typeInit:
		return func(*interposer, uint32, *reader) packet { return nil } // see answer
	case typeOpen:
		if err := p.refusal(size); err != nil {
			return refuse(err)
		}
		return nil
	case typeRead, typeWrite, typeClose:
		return p.onHandle(typ, size)
	case typeOpendir: // pkg/sftp leaves out "." and "..", and formats dates otherwise
		return (*interposer).opendir
	case typeReaddir:
		return (*interposer).readdir
	case typeSetstat: // pkg/sftp stops at the first error
		return (*interposer).setstat
	case typeFsetstat: // pkg/sftp sets times of whatever has the file's former name
		return (*interposer).fsetstat
	case typeFstat: // pkg/sftp does not know when a file was read last, as below
		return (*interposer).fstat
	case typeStat:
		return (*interposer).stat
	case typeLstat:
		return (*interposer).lstat
	case typeReadlink: // pkg/sftp has few status codes
		return (*interposer).readlink
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
			err = unix.Rename(from, to)
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

func (p *interposer) readlink(id uint32, r *reader) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	target, err := os.Readlink(path)
	if err != nil {
		return statusPacket(id, err)
	}
	return namePacket(id, target)
}

func (p *interposer) stat(id uint32, r *reader) packet { return p.attributes(id, r, unix.Stat) }

func (p *interposer) lstat(id uint32, r *reader) packet { return p.attributes(id, r, unix.Lstat) }

func (p *interposer) attributes(id uint32, r *reader, stat func(string, *unix.Stat_t) error) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	var st unix.Stat_t
	if err := retry(func() error { return stat(path, &st) }); err != nil {
		return statusPacket(id, err)
	}
	return attrsPacket(id, &st)
}

func (p *interposer) fstat(id uint32, r *reader) packet {
	name := r.string()
	p.mu.Lock()
	defer p.mu.Unlock()
	var st unix.Stat_t
	if err := p.handles.stat(name, &st); err != nil {
		return statusPacket(id, err)
	}
	return attrsPacket(id, &st)
}

// retry calls f again as long as it was interrupted (signal(7)).
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (p *interposer) realpath(id uint32, r *reader) packet {
	name := r.string()
	if r.bad {
		return nil
	}
	return p.resolved(id, name)
}

func (p *interposer) resolved(id uint32, name string) packet {
	if name == "" { // only here, as with OpenSSH
		name = "."
	}
	path, err := realpath(p.srv.path(name))
	if err != nil {
		return statusPacket(id, err)
	}
	return namePacket(id, path)
}
