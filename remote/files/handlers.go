package files

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

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
	case typeMkdir: // pkg/sftp ignores the mode
		return (*interposer).mkdir
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
	return nil
}

// extensions that are answered here, by name; see OpenSSH PROTOCOL section 4.
var extensions = map[string]handlerFunc{
	"fsync@openssh.com":       (*interposer).fsync,
	"limits@openssh.com":      (*interposer).limits,
	"copy-data":               (*interposer).copyData,
	"lsetstat@openssh.com":    (*interposer).lsetstat,
	"expand-path@openssh.com": (*interposer).expandPath,
	"home-directory":          (*interposer).homeDirectory,
	"fstatvfs@openssh.com":    (*interposer).fstatvfs,

	"users-groups-by-id@openssh.com": (*interposer).namesByID,
}

// versionPacket announces ours and those of pkg/sftp.
func versionPacket() []byte {
	p := packet{0, 0, 0, 0, typeVersion}.uint32(3)
	for _, e := range [][2]string{
		{"posix-rename@openssh.com", "1"},
		{"statvfs@openssh.com", "2"},
		{"hardlink@openssh.com", "1"},
		{"fsync@openssh.com", "1"},
		{"limits@openssh.com", "1"},
		{"copy-data", "1"},
		{"lsetstat@openssh.com", "1"},
		{"expand-path@openssh.com", "1"},
		{"home-directory", "1"},
		{"fstatvfs@openssh.com", "2"},
		{"users-groups-by-id@openssh.com", "1"},
	} {
		p = p.string(e[0]).string(e[1])
	}
	return p.seal()
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

func (p *interposer) fsync(id uint32, r *reader) packet {
	name := r.string()
	f, err := p.reopen(name, os.O_WRONLY, os.O_RDONLY)
	if err != nil {
		return statusPacket(id, err)
	}
	defer f.Close()
	return statusPacket(id, f.Sync())
}

func (p *interposer) reopen(name string, modes ...int) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handles.reopen(name, modes...)
}

func (p *interposer) limits(id uint32, _ *reader) packet {
	var lim unix.Rlimit
	open := uint64(0) // unknown
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && lim.Cur > 64 {
		open = lim.Cur - 64
	}
	return newPacket(typeExtReply, id).uint64(maxMessage).uint64(maxData).uint64(maxData).uint64(open)
}

// copyData is draft-ietf-secsh-filexfer-extensions-00 section 7.
func (p *interposer) copyData(id uint32, r *reader) packet {
	src, from, n := r.string(), r.uint64(), r.uint64()
	dst, to := r.string(), r.uint64()
	if r.bad {
		return nil
	}
	in, err := p.reopen(src, os.O_RDONLY)
	if err != nil {
		return statusPacket(id, err)
	}
	defer in.Close()
	out, err := p.reopen(dst, os.O_WRONLY)
	if err != nil {
		return statusPacket(id, err)
	}
	defer out.Close()
	a, aerr := in.Stat()
	b, berr := out.Stat()
	if aerr == nil && berr == nil && os.SameFile(a, b) {
		return statusPacket(id, errors.New("a file cannot be copied to itself"))
	}
	return statusPacket(id, p.copy(in, int64(from), n, out, int64(to)))
}

// copy copies n bytes, or to the end of in if n is 0.
func (p *interposer) copy(in *os.File, from int64, n uint64, out *os.File, to int64) error {
	if from < 0 || to < 0 {
		return unix.EINVAL
	}
	src := io.Reader(io.NewSectionReader(in, from, 1<<62))
	if n > 0 {
		src = io.LimitReader(src, int64(min(n, 1<<62)))
	}
	buf := make([]byte, 256<<10)
	for p.ctx.Err() == nil {
		k, err := src.Read(buf)
		if _, werr := out.WriteAt(buf[:k], to); werr != nil {
			return werr
		}
		to += int64(k)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return p.ctx.Err()
}

// lsetstat sets attributes of a link itself.
func (p *interposer) lsetstat(id uint32, r *reader) packet {
	path, a := p.srv.path(r.string()), r.attrs()
	if r.bad {
		return nil
	}
	return statusPacket(id, setLinkAttrs(path, a))
}

func setLinkAttrs(path string, a attrs) error {
	if a.flags&attrSize != 0 {
		return errUnsupported
	}
	if a.flags&attrPermissions != 0 {
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if st.Mode()&os.ModeSymlink != 0 {
			return errUnsupported // Linux has no modes of links
		}
		if err := unix.Chmod(path, a.mode&0o7777); err != nil {
			return err
		}
	}
	if a.flags&attrTimes != 0 {
		ts := []unix.Timespec{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if a.flags&attrUIDGID != 0 {
		return os.Lchown(path, int(a.uid), int(a.gid))
	}
	return nil
}

// expandPath knows ~ and ~/…; other users' homes are no business of a pod.
func (p *interposer) expandPath(id uint32, r *reader) packet {
	name := r.string()
	if r.bad {
		return nil
	}
	if name == "~" || strings.HasPrefix(name, "~/") {
		name = home() + name[1:]
	} else if strings.HasPrefix(name, "~") {
		return statusPacket(id, os.ErrNotExist)
	}
	return namePacket(id, realpath(p.srv.path(name)))
}

func (p *interposer) homeDirectory(id uint32, r *reader) packet {
	_ = r.string() // there is one user
	if r.bad {
		return nil
	}
	return namePacket(id, home())
}

func home() string {
	if dir, err := os.UserHomeDir(); err == nil {
		return dir
	}
	return "/"
}

func (p *interposer) fstatvfs(id uint32, r *reader) packet {
	f, err := p.reopen(r.string(), unix.O_PATH)
	if err != nil {
		return statusPacket(id, err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return statusPacket(id, err)
	}
	flags := uint64(0)
	if st.Flags&unix.ST_RDONLY != 0 {
		flags |= 1
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		flags |= 2
	}
	return newPacket(typeExtReply, id).
		uint64(uint64(st.Bsize)).uint64(uint64(st.Frsize)).uint64(st.Blocks).uint64(st.Bfree).
		uint64(st.Bavail).uint64(st.Files).uint64(st.Ffree).uint64(st.Ffree).
		uint64(uint64(st.Fsid.Val[0])).uint64(flags).uint64(uint64(st.Namelen))
}
