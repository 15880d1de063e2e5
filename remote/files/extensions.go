package files

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// extensions that are answered here, by name; see OpenSSH PROTOCOL section 4.
var extensions = map[string]handlerFunc{
	"statvfs@openssh.com":     (*interposer).statvfs,
	"fsync@openssh.com":       (*interposer).fsync,
	"limits@openssh.com":      (*interposer).limits,
	"copy-data":               (*interposer).copyData,
	"lsetstat@openssh.com":    (*interposer).lsetstat,
	"expand-path@openssh.com": (*interposer).expandPath,
	"hardlink@openssh.com":    (*interposer).hardlink,
	"home-directory":          (*interposer).homeDirectory,
	"fstatvfs@openssh.com":    (*interposer).fstatvfs,

	"posix-rename@openssh.com":       (*interposer).posixRename,
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

func (p *interposer) fsync(id uint32, r *reader) packet {
	name := r.string()
	f, err := p.reopen(name, os.O_WRONLY, os.O_RDONLY)
	if errors.Is(err, errNoHandle) {
		err = unix.EBADF
	}
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
	return newPacket(typeExtReply, id).uint64(maxMessage).uint64(maxData).uint64(maxData).uint64(uint64(p.maxOpen))
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
	return p.resolved(id, name)
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

func (p *interposer) posixRename(id uint32, r *reader) packet {
	from, to := p.srv.path(r.string()), p.srv.path(r.string())
	if r.bad {
		return nil
	}
	return statusPacket(id, unix.Rename(from, to))
}

func (p *interposer) hardlink(id uint32, r *reader) packet {
	from, to := p.srv.path(r.string()), p.srv.path(r.string())
	if r.bad {
		return nil
	}
	return statusPacket(id, unix.Link(from, to))
}

// statvfs: pkg/sftp takes relative paths from elsewhere.
func (p *interposer) statvfs(id uint32, r *reader) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return statusPacket(id, err)
	}
	return spacePacket(id, &st)
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
	return spacePacket(id, &st)
}

// spacePacket answers statvfs and fstatvfs (OpenSSH PROTOCOL section 4.4).
func spacePacket(id uint32, st *unix.Statfs_t) packet {
	const readOnly, noSetuid = 1, 2
	flags := uint64(0)
	if st.Flags&unix.ST_RDONLY != 0 {
		flags |= readOnly
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		flags |= noSetuid
	}
	return newPacket(typeExtReply, id).
		uint64(uint64(st.Bsize)).uint64(uint64(st.Frsize)).uint64(st.Blocks).uint64(st.Bfree).
		uint64(st.Bavail).uint64(st.Files).uint64(st.Ffree).uint64(st.Ffree).
		uint64(uint64(st.Fsid.Val[0])).uint64(flags).uint64(uint64(st.Namelen))
}
