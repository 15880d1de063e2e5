package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// referenceServer is OpenSSH's: what it answers is what clients expect.
const referenceServer = "/usr/lib/openssh/sftp-server"

// peer is an SFTP client of one of the two servers, on a folder of its own.
type peer struct {
	tb      testing.TB
	dir     string
	conn    io.ReadWriter
	id      uint32
	handles []string
}

func newPeer(tb testing.TB, dir string, conn io.ReadWriter) *peer {
	p := &peer{tb: tb, dir: dir, conn: conn}
	p.send(packet{0, 0, 0, 0, typeInit}.uint32(3))
	p.recv()
	return p
}

func oursOn(tb testing.TB, dir string) *peer {
	tb.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	s := New(Options{WorkDir: dir, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, far) }()
	tb.Cleanup(func() {
		_ = near.Close()
		cancel()
		<-done
	})
	return newPeer(tb, dir, near)
}

func referenceOn(tb testing.TB, dir string) *peer {
	tb.Helper()
	cmd := exec.Command(referenceServer)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Skip("OpenSSH's sftp-server is not installed")
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return newPeer(tb, dir, struct {
		io.Reader
		io.Writer
	}{out, in})
}

func (p *peer) send(b packet) {
	p.tb.Helper()
	if _, err := p.conn.Write(b.seal()); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *peer) recv() []byte {
	p.tb.Helper()
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		p.tb.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p.conn, b); err != nil {
		p.tb.Fatal(err)
	}
	return b
}

// op is one SFTP request; @N stands for the Nth handle.
type op struct {
	typ  byte
	args []any
}

func (q op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", q.typ)
	for _, a := range q.args {
		s := fmt.Sprintf(" %q", fmt.Sprint(a))
		b.WriteString(s[:min(len(s), 60)])
	}
	return b.String()
}

// do sends a request and describes the answer so that two servers can be compared.
func (p *peer) do(q op) string {
	p.tb.Helper()
	p.id++
	b := newPacket(q.typ, p.id)
	used := -1
	for _, a := range q.args {
		switch v := a.(type) {
		case string:
			var n int
			if _, err := fmt.Sscanf(v, "@%d", &n); err == nil && n < len(p.handles) {
				v, used = p.handles[n], n
			}
			b = b.string(v)
		case uint32:
			b = b.uint32(v)
		case uint64:
			b = b.uint64(v)
		case []byte:
			b = append(b, v...)
		}
	}
	p.send(b)
	answer := p.describe(p.recv())
	if used >= 0 && q.typ == typeClose && answer == "status 0" {
		p.handles[used] = "" // OpenSSH gives them out again
	}
	return answer
}

func (p *peer) describe(b []byte) string {
	p.tb.Helper()
	r := &reader{b: b[1:]}
	if id := r.uint32(); id != p.id {
		p.tb.Fatalf("answer to %d instead of %d", id, p.id)
	}
	switch b[0] {
	case typeStatus:
		return fmt.Sprint("status ", r.uint32())
	case typeHandle:
		p.handles = append(p.handles, r.string())
		return "handle"
	case typeName:
		var names []string
		for range r.uint32() {
			name, long, a := r.string(), r.string(), r.attrs()
			names = append(names, fmt.Sprintf("%q %q %s", strings.ReplaceAll(name, p.dir, "DIR"), p.longname(long, a), describeAttrs(a)))
		}
		slices.Sort(names)
		return strings.Join(append(names, fmt.Sprint(r.bad, len(r.b))), "\n")
	case typeAttrs:
		return describeAttrs(r.attrs()) + fmt.Sprint(r.bad, len(r.b))
	}
	return fmt.Sprintf("%d %q", b[0], b[1:])
}

// longname without what differs between two folders made a moment apart.
func (p *peer) longname(long string, a attrs) string {
	if a.flags&attrTimes != 0 && recent(a.mtime) {
		long = strings.Replace(long, time.Unix(int64(a.mtime), 0).Format("Jan _2 15:04"), "TIME", 1)
	}
	return strings.ReplaceAll(long, p.dir, "DIR")
}

func recent(t uint32) bool { return time.Since(time.Unix(int64(t), 0)).Abs() < time.Hour }

func describeAttrs(a attrs) string {
	if a.mode&0o170000 == 0o040000 {
		a.size = 0 // of the filesystem's choice
	}
	when := func(t uint32) string {
		if recent(t) {
			return "now"
		}
		return fmt.Sprint(t)
	}
	return fmt.Sprintf("{%x %d %d:%d %o %s %s}", a.flags, a.size, a.uid, a.gid, a.mode, when(a.atime), when(a.mtime))
}

// bigSize is more than one answer takes.
const bigSize = 300_000

// furnish makes what requests find.
func furnish(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	must(os.Mkdir(dir+"/d", 0o750))
	must(os.WriteFile(dir+"/d/in", []byte("inside"), 0o600))
	must(os.Mkdir(dir+"/empty", 0o700))
	must(os.WriteFile(dir+"/f", []byte("0123456789"), 0o644))
	must(os.WriteFile(dir+"/setuid", nil, 0o755))
	must(os.Chmod(dir+"/setuid", 0o755|os.ModeSetuid|os.ModeSetgid))
	must(os.WriteFile(dir+"/big", make([]byte, bigSize), 0o600))
	must(os.Symlink("f", dir+"/link"))
	must(os.Symlink("d", dir+"/dirlink"))
	must(os.Symlink("nowhere", dir+"/dangling"))
	must(os.Symlink("loop", dir+"/loop"))
	must(os.Chown(dir+"/d/in", 12345, 54321))
	old := time.Unix(1_000_000_000, 0)
	must(os.Chtimes(dir+"/f", old, old.Add(time.Hour)))
	must(os.WriteFile(dir+"/ünï \n\x01", nil, 0o600))
	return dir
}

// compare sends requests to both servers.
func compareAnswers(t *testing.T, next func(step int) (op, bool)) {
	t.Helper()
	if _, err := os.Stat(referenceServer); errors.Is(err, os.ErrNotExist) {
		t.Skip("OpenSSH's sftp-server is not installed")
	}
	if os.Getuid() != 0 {
		t.Skip("the folders have other owners")
	}
	ref, ours := referenceOn(t, furnish(t)), oursOn(t, furnish(t))
	for step := 0; ; step++ {
		q, more := next(step)
		if !more {
			return
		}
		a, b := ref.do(q), ours.do(q)
		if q.typ == typeReaddir && a == "status 1" && strings.HasPrefix(b, `"."`) {
			return // it looks for what is in a folder under the folder's former name
		}
		if a != b {
			t.Fatalf("%d %v\nOpenSSH: %s\nours:    %s", step, q, a, b)
		}
	}
}

// TestAnswersAreThoseOfOpenSSH sends one of each request, and what is wrong with it.
func TestAnswersAreThoseOfOpenSSH(t *testing.T) {
	var all []op
	add := func(typ byte, args ...any) { all = append(all, op{typ, args}) }
	add(typeOpen, "big", uint32(openRead|openWrite), uint32(0))
	for _, length := range []uint32{1, 32 << 10, maxData, maxData + 1, maxMessage, 1 << 30, math.MaxUint32} {
		add(typeRead, "@0", uint64(0), length)
		add(typeRead, "@0", uint64(bigSize-10), length)
		add(typeRead, "@0", uint64(bigSize), length)
		add(typeRead, "@0", uint64(1<<40), length)
	}
	for _, at := range []uint64{bigSize + 5, 1 << 30, 0} {
		add(typeWrite, "@0", at, "x")
		add(typeWrite, "@0", at, "")
		add(typeFstat, "@0")
	}
	names := []string{
		"", ".", "..", "/", "f", "d", "d/", "d/in", "link", "dirlink", "dirlink/in", "dirlink/", "dangling", "loop",
		"f/below", "nope", "nope/below", "./d/../f", "d/.", strings.Repeat("x", 300), "ünï \n\x01", "/dev/null",
	}
	for _, n := range names {
		for _, typ := range []byte{typeStat, typeLstat, typeReadlink, typeRealpath, typeOpendir} {
			add(typ, n)
		}
	}
	for _, names := range [][2]string{
		{"f", "d/in"},
		{"f", "d"},
		{"d", "f"},
		{"d", "empty"},
		{"nope", "x"},
		{"f", "nope/x"},
		{"f", "f"},
		{"link", "f"},
		{"dangling", "f"},
		{"f", "moved"},
		{"d", "moved/d"},
		{"d", "d/below"},
		{"d", "folder"},
		{"link", "link2"},
		{"", "x"},
		{"moved", ""},
	} {
		add(typeRename, names[0], names[1])
	}
	compareAnswers(t, func(step int) (op, bool) {
		if step >= len(all) {
			return op{}, false
		}
		return all[step], true
	})
}
