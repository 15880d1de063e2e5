package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// times are of a T message, for the file that follows.
type times struct {
	set          bool
	mtime, atime time.Time
}

func (t times) apply(path string) error {
	if !t.set {
		return nil
	}
	return os.Chtimes(path, t.atime, t.mtime)
}

func (s *scp) sink(target string) error {
	target = expand(target)[0]
	isDir := isDirectory(target)
	if s.wantDir && !isDir {
		_ = s.complain(&os.PathError{Op: "open", Path: target, Err: syscall.ENOTDIR})
		return errScpOver
	}
	if err := s.ok(); err != nil {
		return err
	}
	return s.receive(target, isDir, false)
}

func isDirectory(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// receive takes messages until the end of the input, or of the directory.
func (s *scp) receive(target string, isDir, nested bool) error {
	var ts times
	for {
		msg, err := s.line()
		if errors.Is(err, io.EOF) && !nested && msg == "" {
			return nil
		}
		if err != nil {
			return err
		}
		if msg == "" {
			return errors.New("empty message")
		}
		switch msg[0] {
		case 1, 2:
			s.failed = true
			if msg[0] == 2 {
				return errScpOver
			}
			continue
		case 'E':
			if !nested {
				return errors.New("unexpected end of directory")
			}
			return s.ok()
		case 'T':
			if ts, err = parseTimes(msg); err == nil {
				err = s.ok()
			}
		case 'C', 'D':
			err = s.entry(msg, target, isDir, ts)
			ts = times{}
		default:
			err = fmt.Errorf("unexpected message %q", msg[:1])
		}
		if err != nil {
			return err
		}
	}
}

// entry receives a file or directory: "C0644 12 name", "D0755 0 name".
func (s *scp) entry(msg, target string, isDir bool, ts times) error {
	mode, size, name, err := parseEntry(msg)
	if err != nil {
		return err
	}
	if isDir {
		target = filepath.Join(target, name)
	}
	if msg[0] == 'C' {
		return s.receiveFile(target, mode, size, ts)
	}
	if !s.recursive {
		return errors.New("received a directory without -r")
	}
	return s.receiveDir(target, mode, ts)
}

func parseTimes(msg string) (times, error) {
	var m, mu, a, au int64
	if n, err := fmt.Sscanf(msg, "T%d %d %d %d", &m, &mu, &a, &au); n != 4 || err != nil {
		return times{}, errors.New("malformed times")
	}
	return times{true, time.Unix(m, 0), time.Unix(a, 0)}, nil
}

func parseEntry(msg string) (mode os.FileMode, size int64, name string, err error) {
	f := strings.SplitN(msg[1:], " ", 3)
	if len(f) != 3 {
		return 0, 0, "", errors.New("malformed message")
	}
	bits, err := strconv.ParseUint(f[0], 8, 16)
	if err != nil || bits > 0o7777 {
		return 0, 0, "", errors.New("malformed mode")
	}
	if size, err = strconv.ParseInt(f[1], 10, 64); err != nil || size < 0 {
		return 0, 0, "", errors.New("malformed size")
	}
	name = f[2]
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return 0, 0, "", errors.New("unsafe file name")
	}
	return fileMode(uint32(bits)), size, name, nil
}

func fileMode(bits uint32) os.FileMode {
	m := os.FileMode(bits & 0o777)
	if bits&syscall.S_ISUID != 0 {
		m |= os.ModeSetuid
	}
	if bits&syscall.S_ISGID != 0 {
		m |= os.ModeSetgid
	}
	if bits&syscall.S_ISVTX != 0 {
		m |= os.ModeSticky
	}
	return m
}

func (s *scp) receiveFile(path string, mode os.FileMode, size int64, ts times) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, mode.Perm()|0o200)
	if err != nil {
		return s.complain(err) // the sender skips the file
	}
	defer f.Close()
	if err := s.ok(); err != nil {
		return err
	}
	n, werr := io.Copy(f, io.LimitReader(s.in, size))
	if n < size && werr != nil { // a full disk: take the rest off the wire
		_, _ = io.CopyN(io.Discard, s.in, size-n)
	} else if n < size {
		return io.ErrUnexpectedEOF
	}
	werr = errors.Join(werr, s.settle(f, path, mode, size, ts))
	sent, err := s.response()
	if err != nil {
		return err
	}
	if werr != nil {
		return s.complain(werr)
	}
	if !sent {
		return nil // the sender could not read all; it has said so
	}
	return s.ok()
}

// settle gives a received file its length, mode and times.
func (s *scp) settle(f *os.File, path string, mode os.FileMode, size int64, ts times) error {
	var err error
	if st, serr := f.Stat(); serr == nil && st.Mode().IsRegular() {
		err = f.Truncate(size)
	}
	if s.preserve {
		err = errors.Join(err, f.Chmod(mode))
	}
	return errors.Join(err, ts.apply(path))
}

func (s *scp) receiveDir(path string, mode os.FileMode, ts times) error {
	made := false
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return s.complain(&os.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR})
	} else if err != nil {
		if err := os.Mkdir(path, mode.Perm()|0o700); err != nil {
			return s.complain(err) // the sender leaves the directory out
		}
		made = true
	}
	if err := s.ok(); err != nil {
		return err
	}
	if err := s.receive(path, true, true); err != nil {
		return err
	}
	var err error
	if s.preserve {
		err = os.Chmod(path, mode)
	} else if made && mode.Perm()&0o700 != 0o700 {
		err = os.Chmod(path, mode.Perm())
	}
	if err = errors.Join(err, ts.apply(path)); err != nil {
		s.failed = true
	}
	return nil
}
