package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func (s *scp) source(paths []string) error {
	if ok, err := s.response(); err != nil || !ok {
		return errors.Join(err, errScpOver)
	}
	for _, p := range paths {
		for _, path := range expand(p) {
			if err := s.send(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *scp) send(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return s.complain(err)
	case st.IsDir() && s.recursive:
		return s.sendDir(path, st)
	case st.Mode().IsRegular():
		return s.sendFile(path, st)
	}
	return s.complain(fmt.Errorf("%s: not a regular file", path))
}

// baseName is what the receiver calls the file. The root has no name, and a
// line break would end the message: OpenSSH writes it like this too.
func baseName(path string) string {
	base := filepath.Base(path)
	if base == "/" {
		return "."
	}
	return strings.ReplaceAll(base, "\n", `\^J`)
}

// announce sends the times and the entry and reports whether it is wanted.
func (s *scp) announce(kind byte, st os.FileInfo, name string) (bool, error) {
	if s.preserve {
		atime := st.ModTime().Unix()
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			atime = sys.Atim.Sec
		}
		if _, err := fmt.Fprintf(s.out, "T%d 0 %d 0\n", st.ModTime().Unix(), atime); err != nil {
			return false, err
		}
		if ok, err := s.response(); err != nil || !ok {
			return false, err
		}
	}
	size := st.Size()
	if kind == 'D' {
		size = 0
	}
	if _, err := fmt.Fprintf(s.out, "%c%04o %d %s\n", kind, modeBits(st.Mode()), size, name); err != nil {
		return false, err
	}
	return s.response()
}

func modeBits(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&os.ModeSetuid != 0 {
		bits |= syscall.S_ISUID
	}
	if m&os.ModeSetgid != 0 {
		bits |= syscall.S_ISGID
	}
	if m&os.ModeSticky != 0 {
		bits |= syscall.S_ISVTX
	}
	return bits
}

func (s *scp) sendFile(path string, st os.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return s.complain(err)
	}
	defer f.Close()
	if wanted, err := s.announce('C', st, baseName(path)); err != nil || !wanted {
		return err
	}
	n, rerr := io.Copy(s.out, io.LimitReader(f, st.Size()))
	if n < st.Size() {
		// The length is announced already. Fill it up, then say so.
		if rerr == nil {
			rerr = fmt.Errorf("%s: file got shorter", path)
		}
		if _, err := io.CopyN(s.out, zeros{}, st.Size()-n); err != nil {
			return err
		}
	}
	if rerr != nil {
		err = s.complain(rerr)
	} else {
		err = s.ok()
	}
	if err != nil {
		return err
	}
	_, err = s.response()
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (s *scp) sendDir(path string, st os.FileInfo) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return s.complain(err)
	}
	if wanted, err := s.announce('D', st, baseName(path)); err != nil || !wanted {
		return err
	}
	for _, e := range entries {
		if err := s.send(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(s.out, "E\n"); err != nil {
		return err
	}
	_, err = s.response()
	return err
}
