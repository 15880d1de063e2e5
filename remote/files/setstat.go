package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func (p *interposer) setstat(id uint32, r *reader) packet {
	path, a := p.srv.path(r.string()), r.attrs()
	if r.bad {
		return nil
	}
	return statusPacket(id, setAttrs(path, a))
}

// fsetstat reaches the file by its handle, under whatever name it has now.
func (p *interposer) fsetstat(id uint32, r *reader) packet {
	name, a := r.string(), r.attrs()
	if r.bad {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	path, err := p.handles.path(name)
	if err == nil && a.flags&attrSize != 0 && p.handles.all[name].flags&openWrite == 0 {
		err = unix.EINVAL // as ftruncate(2) says
		a.flags &^= attrSize
	}
	if path != "" {
		if serr := setAttrs(path, a); serr != nil {
			err = serr
		}
	}
	return statusPacket(id, err)
}

// setAttrs sets all that it can. The last error counts, as with OpenSSH.
func setAttrs(path string, a attrs) (last error) {
	try := func(flag uint32, f func() error) {
		if a.flags&flag == 0 {
			return
		}
		if err := retry(f); err != nil {
			last = err
		}
	}
	try(attrSize, func() error { return unix.Truncate(path, int64(a.size)) })
	try(attrPermissions, func() error { return unix.Chmod(path, a.mode&0o7777) })
	try(attrTimes, func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, a.times(), 0) })
	try(attrUIDGID, func() error { return unix.Chown(path, int(a.uid), int(a.gid)) })
	return last
}

func (a attrs) times() []unix.Timespec {
	return []unix.Timespec{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}}
}

// lsetstat sets attributes of a link itself.
func (p *interposer) lsetstat(id uint32, r *reader) packet {
	path, a := p.srv.path(r.string()), r.attrs()
	if r.bad {
		return nil
	}
	return statusPacket(id, setLinkAttrs(path, a))
}

func setLinkAttrs(path string, a attrs) (last error) {
	if a.flags&attrSize != 0 {
		return errBadMessage
	}
	try := func(flag uint32, f func() error) {
		if a.flags&flag == 0 {
			return
		}
		if err := retry(f); err != nil {
			last = err
		}
	}
	try(attrPermissions, func() error {
		st, err := os.Lstat(path)
		if err == nil && st.Mode()&os.ModeSymlink != 0 {
			return unix.EOPNOTSUPP // Linux has no modes of links
		}
		return errors.Join(err, unix.Chmod(path, a.mode&0o7777))
	})
	try(attrTimes, func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, a.times(), unix.AT_SYMLINK_NOFOLLOW)
	})
	try(attrUIDGID, func() error { return unix.Lchown(path, int(a.uid), int(a.gid)) })
	return last
}
