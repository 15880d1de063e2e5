package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// folder is a folder that is being listed.
type folder struct {
	f       *os.File
	started bool
	// users and groups by their numbers.
	users, groups map[uint32]string
}

// batch is the most names of one answer, as with OpenSSH.
const batch = 100

func (p *interposer) opendir(id uint32, r *reader) packet {
	path := p.srv.path(r.string())
	if r.bad {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.handles.all) >= p.maxOpen {
		return statusPacket(id, errTooMany)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return statusPacket(id, err)
	}
	f := &folder{
		f:     os.NewFile(uintptr(fd), path),
		users: namesByNumber("/etc/passwd"), groups: namesByNumber("/etc/group"),
	}
	return newPacket(typeHandle, id).string(p.handles.openFolder(f))
}

func (p *interposer) readdir(id uint32, r *reader) packet {
	name := r.string()
	if r.bad {
		return nil
	}
	p.mu.Lock()
	x := p.handles.all[name]
	p.mu.Unlock()
	if x.folder == nil {
		return statusPacket(id, errNoFolder)
	}
	return x.folder.list(id)
}

var errNoFolder = errors.New("not a folder's handle")

func (f *folder) list(id uint32) packet {
	for {
		names, err := f.f.Readdirnames(batch)
		if !f.started && !f.removed() {
			names = append([]string{".", ".."}, names...)
		}
		f.started = true
		if len(names) == 0 {
			if err == nil || errors.Is(err, io.EOF) || errors.Is(err, unix.ENOENT) {
				err = errEOF
			}
			return statusPacket(id, err)
		}
		count, entries := uint32(0), packet(nil)
		for _, name := range names {
			var st unix.Stat_t
			if retry(func() error { return f.stat(name, &st) }) != nil {
				continue // gone meanwhile
			}
			count++
			entries = entries.string(name).string(f.longname(name, &st)).attrs(&st)
		}
		if count > 0 {
			return append(newPacket(typeName, id).uint32(count), entries...)
		}
	}
}

// removed reports whether the folder is gone: it has not even "." then.
func (f *folder) removed() bool {
	st, err := f.f.Stat()
	if err != nil {
		return true
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}

func (f *folder) stat(name string, st *unix.Stat_t) (err error) {
	cerr := control(f.f, func(fd int) { err = unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
	return errors.Join(cerr, err)
}

func control(f *os.File, do func(fd int)) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) { do(int(fd)) })
}

// halfYear is the age from which on a year is shown instead of a time.
const halfYear = 365 * 24 * time.Hour / 2

// longname is a line as of "ls -l", as clients show it.
func (f *folder) longname(name string, st *unix.Stat_t) string {
	when := time.Unix(st.Mtim.Unix())
	layout := "Jan _2 15:04"
	if time.Since(when) >= halfYear {
		layout = "Jan _2  2006"
	}
	owner := func(names map[uint32]string, id uint32) string {
		if n, ok := names[id]; ok {
			return n
		}
		return fmt.Sprint(id)
	}
	return fmt.Sprintf("%s %3d %-8s %-8s %8d %s %s", modeString(st.Mode), st.Nlink,
		owner(f.users, st.Uid), owner(f.groups, st.Gid), st.Size, when.Format(layout), name)
}

// modeString is what strmode(3) makes of a mode, with its space at the end.
func modeString(mode uint32) string {
	kind := byte('?')
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		kind = 'd'
	case unix.S_IFCHR:
		kind = 'c'
	case unix.S_IFBLK:
		kind = 'b'
	case unix.S_IFREG:
		kind = '-'
	case unix.S_IFLNK:
		kind = 'l'
	case unix.S_IFSOCK:
		kind = 's'
	case unix.S_IFIFO:
		kind = 'p'
	}
	b := []byte("?rwxrwxrwx ")
	b[0] = kind
	for i := range 9 {
		if mode&(0o400>>i) == 0 {
			b[1+i] = '-'
		}
	}
	special := func(bit uint32, at int, with, without byte) {
		if mode&bit == 0 {
			return
		}
		if b[at] == 'x' {
			b[at] = with
		} else {
			b[at] = without
		}
	}
	special(unix.S_ISUID, 3, 's', 'S')
	special(unix.S_ISGID, 6, 's', 'S')
	special(unix.S_ISVTX, 9, 't', 'T')
	return string(b)
}

// realpath follows links as far as the path exists, of which only the last name may
// not: clients ask also for names that they are about to make.
func realpath(path string) (string, error) {
	const maxLinks = 40 // as the kernel
	done, links := "/", 0
	rest := path
	for rest != "" {
		var name string
		var more bool
		name, rest, more = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, name)
		var st unix.Stat_t
		err := retry(func() error { return unix.Lstat(next, &st) })
		if errors.Is(err, unix.ENOENT) && !more {
			return next, nil
		}
		if err != nil {
			return "", err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		if more {
			target += "/" + rest
		}
		rest = target
	}
	return done, nil
}
