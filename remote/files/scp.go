package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// scp is the remote half of the scp protocol of BSD's rcp: "scp -t" receives
// (sink), "scp -f" sends (source). Each message is answered with a zero byte,
// or with 1 (error, go on) or 2 (fatal) and a line of text.
type scp struct {
	recursive, preserve, wantDir bool

	in     *bufio.Reader
	out    io.Writer
	failed bool
}

const scpUsage = "usage: scp [-r] [-p] [-d] -t target | -f source...\n"

// errScpOver ends a transfer that cannot go on; what there was to say has been
// said.
var errScpOver = errors.New("transfer ended")

// SCP runs the remote half of scp as "scp" with these arguments would and
// returns its exit status.
func SCP(args []string, in io.Reader, out, stderr io.Writer) int {
	s := &scp{in: bufio.NewReaderSize(in, 64<<10), out: out}
	mode, paths, err := s.parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "scp: %v\n%s", err, scpUsage)
		return 1
	}
	if mode == 't' {
		err = s.sink(paths[0])
	} else {
		err = s.source(paths)
	}
	if err != nil && !errors.Is(err, errScpOver) && !errors.Is(err, io.EOF) {
		fmt.Fprintf(stderr, "scp: %v\n", err)
	}
	if err != nil || s.failed {
		return 1
	}
	return 0
}

func (s *scp) parse(args []string) (mode byte, paths []string, err error) {
	for i, a := range args {
		if a == "--" {
			paths = append(paths, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			paths = append(paths, a)
			continue
		}
		for _, c := range []byte(a[1:]) {
			switch c {
			case 'r':
				s.recursive = true
			case 'p':
				s.preserve = true
			case 'd':
				s.wantDir = true
			case 't', 'f':
				mode = c
			case 'v', 'q', '1', '2', '4', '6', 'B', 'C':
			default:
				return 0, nil, fmt.Errorf("unknown option -%c", c)
			}
		}
	}
	switch {
	case mode == 0:
		return 0, nil, errors.New("only the remote half (-t or -f) is available here")
	case len(paths) == 0:
		return 0, nil, errors.New("no path")
	case mode == 't' && len(paths) > 1:
		return 0, nil, errors.New("ambiguous target")
	}
	return mode, paths, nil
}

func (s *scp) ok() error {
	_, err := s.out.Write([]byte{0})
	return err
}

// complain reports an error to the other side, which goes on.
func (s *scp) complain(err error) error {
	s.failed = true
	_, werr := fmt.Fprintf(s.out, "\x01scp: %s\n", oneLine(err))
	return werr
}

func oneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 {
			return '?'
		}
		return r
	}, err.Error())
}

// response reads the other side's answer. A reported error is not returned:
// it is counted, and the transfer goes on without the file.
func (s *scp) response() (accepted bool, err error) {
	c, err := s.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch c {
	case 0:
		return true, nil
	case 1, 2:
		if _, err := s.line(); err != nil {
			return false, err
		}
		s.failed = true
		if c == 2 {
			return false, errScpOver
		}
		return false, nil
	}
	return false, fmt.Errorf("unexpected answer %#x", c)
}

// maxLine is more than a message of the protocol can have.
const maxLine = 16 << 10

func (s *scp) line() (string, error) {
	var b []byte
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(b), nil
		}
		if b = append(b, c); len(b) > maxLine {
			return "", errors.New("message is too long")
		}
	}
}

// expand does what the shell would have done with a path: ~ and wildcards. A
// pattern without a match stands for itself.
func expand(path string) []string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = home() + path[1:]
	}
	if _, err := os.Lstat(path); err == nil {
		return []string{path}
	}
	if m, err := filepath.Glob(path); err == nil && len(m) > 0 {
		return m
	}
	return []string{path}
}
