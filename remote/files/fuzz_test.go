package files

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is a packet of a client.
func request(typ byte, id uint32, fields ...string) []byte {
	p := newPacket(typ, id)
	for _, f := range fields {
		p = p.string(f)
	}
	return p.seal()
}

func initPacket() []byte { return []byte{0, 0, 0, 5, typeInit, 0, 0, 0, 3} }

// serve runs a whole session on what the client sends.
func serve(dir string, input []byte) ([]byte, error) {
	s := New(Options{WorkDir: dir, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	var out bytes.Buffer
	err := s.Serve(context.Background(), struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(input), &out})
	return out.Bytes(), err
}

// FuzzInterposer gives sessions whose names all stay in a folder: only the
// bytes of one packet are free, and never a type that could leave it.
func FuzzInterposer(f *testing.F) {
	f.Add(byte(typeExtended), request(typeExtended, 1, "fsync@openssh.com", "1")[5:])
	f.Add(byte(typeExtended), request(typeExtended, 1, "copy-data", "1")[5:])
	f.Add(byte(typeExtended), request(typeExtended, 1, "limits@openssh.com")[5:])
	f.Add(byte(typeExtended), request(typeExtended, 1, "expand-path@openssh.com", "~/x")[5:])
	f.Add(byte(typeExtended), request(typeExtended, 1, "users-groups-by-id@openssh.com", "\x00\x00\x00\x00", "\xff\xff\xff\xff")[5:])
	f.Add(byte(typeRealpath), request(typeRealpath, 1, ".")[5:])
	f.Add(byte(typeClose), []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Add(byte(typeRead), []byte{})
	f.Add(byte(0), []byte("junk"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		switch typ {
		case typeOpen, typeMkdir, typeRename, typeSymlink, 9, 13, 15:
			return // these change files
		case typeExtended:
			for _, name := range []string{"lsetstat", "rename", "hardlink"} {
				if bytes.Contains(body, []byte(name)) {
					return
				}
			}
		}
		packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))
		packet = append(append(packet, typ), body...)
		out, _ := serve(dir, append(initPacket(), packet...))
		if len(out) < 9 || out[4] != typeVersion {
			t.Fatalf("no version in %q", out)
		}
	})
}

func TestLongOrEmptyPacketsEndTheSession(t *testing.T) {
	for _, head := range [][]byte{{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 5}, {0, 4, 0, 1, 5}} {
		if _, err := serve(t.TempDir(), append(initPacket(), append(head, make([]byte, 64)...)...)); err == nil {
			t.Errorf("%x is taken", head)
		}
	}
}

func TestRequestsHereWaitForThoseBefore(t *testing.T) {
	dir := t.TempDir()
	var in []byte
	in = append(in, initPacket()...)
	open := newPacket(typeOpen, 1).string("f").uint32(0x1a).uint32(0) // write, create, truncate
	in = append(in, open.seal()...)
	data := bytes.Repeat([]byte("x"), 100_000)
	for i := range 10 {
		w := newPacket(typeWrite, uint32(10+i)).string("1").uint64(uint64(i * len(data))).string(string(data))
		in = append(in, w.seal()...)
	}
	in = append(in, newPacket(typeOpen, 30).string("g").uint32(0x1a).uint32(0).seal()...)
	cp := newPacket(typeExtended, 31).string("copy-data").string("1").uint64(0).uint64(0).string("2").uint64(0)
	in = append(in, cp.seal()...)
	// The first handle is write-only; its file is read for the copy all the same.
	if _, err := serve(dir, in); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, "g"))
	if err != nil || st.Size() != int64(10*len(data)) {
		t.Errorf("the copy has %v bytes: %v", st, err)
	}
}

func FuzzSCPSink(f *testing.F) {
	f.Add([]byte("C0644 3 name\nabc\x00"))
	f.Add([]byte("T1 0 1 0\nD0755 0 dir\nC0600 0 f\n\x00E\n"))
	f.Add([]byte("C0644 3 ../evil\nabc\x00"))
	f.Add([]byte("\x01message\n\x02fatal\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		dir := t.TempDir()
		target := filepath.Join(dir, "in", "target")
		if err := os.MkdirAll(target, 0o700); err != nil {
			t.Fatal(err)
		}
		SCP([]string{"-r", "-p", "-t", target}, bytes.NewReader(input), io.Discard, io.Discard)
		for _, d := range []string{dir, filepath.Join(dir, "in")} {
			if entries, _ := os.ReadDir(d); len(entries) != 1 {
				t.Fatalf("%q wrote outside of its target: %v", input, entries)
			}
		}
		_ = os.Chmod(target, 0o700)
	})
}

// FuzzSCPSource is a client that answers a transfer with anything.
func FuzzSCPSource(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01no room\n\x00\x00\x00"))
	f.Add([]byte("\x00\x02fatal\n"))
	f.Add([]byte{0, 7})
	dir := f.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"a", "new\nline", "sub/b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, answers []byte) {
		var out bytes.Buffer
		code := SCP([]string{"-r", "-p", "-f", dir}, bytes.NewReader(answers), &out, io.Discard)
		if complete := bytes.HasSuffix(out.Bytes(), []byte("E\n")); code == 0 && !complete {
			t.Fatalf("%q ends well after %q", answers, &out)
		}
	})
}

// FuzzSCPArguments shows that only the remote half is run, on the paths given.
func FuzzSCPArguments(f *testing.F) {
	for _, s := range []string{"-t x", "-rp -f a b", "-f -- -x", "-S program a b", "-t a b", "-f", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s := &scp{}
		mode, paths, err := s.parse(strings.Fields(line))
		if err != nil {
			return
		}
		if (mode != 't' && mode != 'f') || len(paths) == 0 || mode == 't' && len(paths) != 1 {
			t.Fatalf("%q: mode %c, paths %q", line, mode, paths)
		}
	})
}
