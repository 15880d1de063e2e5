package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
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

// TestRandomRequestsAreAnsweredAsByOpenSSH goes on from wherever it gets.
func TestRandomRequestsAreAnsweredAsByOpenSSH(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
			compareAnswers(t, func(step int) (op, bool) { return g.next(), step < 150 })
		})
	}
}

// generator makes random requests.
type generator struct {
	*rand.Rand
	opened int
}

func (g *generator) name() string {
	all := []string{
		"f", "d", "d/in", "link", "dirlink", "dirlink/in", "dangling", "loop", "f/below", "nope", "nope/below",
		"new", "new2", "d/new", "empty", "empty/new", "setuid", ".", "", "new/", "../" + strings.Repeat("y", 256),
	}
	return all[g.IntN(len(all))]
}

func (g *generator) handle() string {
	if g.opened == 0 || g.IntN(20) == 0 {
		return []string{"", "bad", "\x00\x00\x00\x63", strings.Repeat("h", 300)}[g.IntN(4)]
	}
	return fmt.Sprintf("@%d", g.IntN(g.opened))
}

// attrs sets some; the mode's bits outside of mask never, which pkg/sftp ignores
// when it makes files.
func (g *generator) attrs(mask uint32) []byte {
	p := packet{}
	flags := uint32(0)
	for _, f := range []uint32{attrSize, attrUIDGID, attrPermissions, attrTimes} {
		if g.IntN(4) == 0 {
			flags |= f
		}
	}
	p = p.uint32(flags)
	if flags&attrSize != 0 {
		p = p.uint64(uint64(g.IntN(30)))
	}
	if flags&attrUIDGID != 0 {
		p = p.uint32(uint32(g.IntN(3))).uint32(uint32(g.IntN(3)))
	}
	if flags&attrPermissions != 0 {
		p = p.uint32([]uint32{0o600, 0o4711, 0o1777, 0o100644, 0, 0o777}[g.IntN(6)] & mask)
	}
	if flags&attrTimes != 0 {
		p = p.uint32(uint32(g.IntN(1 << 30))).uint32(uint32(g.IntN(1 << 30)))
	}
	return p
}

func (g *generator) next() op {
	n := g.name
	extended := func(name string, args ...any) op { return op{typeExtended, append([]any{name}, args...)} }
	for {
		switch g.IntN(30) {
		case 0, 1, 2, 3:
			flags := []uint32{1, 2, 3, 1 | 8, 2 | 8, 2 | 8 | 0x10, 2 | 8 | 0x20, 3 | 8 | 0x20, 2 | 4, 2 | 4 | 8, 8, 0, 2 | 0x10}[g.IntN(13)]
			g.opened++ // at most; a handle that is not there is bad
			return op{typeOpen, []any{n(), flags, g.attrs(0o777)}}
		case 4:
			g.opened++
			return op{typeOpendir, []any{n()}}
		case 5:
			return op{typeClose, []any{g.handle()}}
		case 6, 7:
			return op{typeRead, []any{g.handle(), uint64(g.IntN(20)), uint32(1 + g.IntN(30))}}
		case 8, 9:
			return op{typeWrite, []any{g.handle(), uint64(g.IntN(20)), strings.Repeat("w", g.IntN(10))}}
		case 10:
			return op{typeFstat, []any{g.handle()}}
		case 11:
			return op{typeFsetstat, []any{g.handle(), g.attrs(0o177777)}}
		case 12:
			return op{typeSetstat, []any{n(), g.attrs(0o177777)}}
		case 13:
			return op{typeStat, []any{n()}}
		case 14:
			return op{typeLstat, []any{n()}}
		case 15:
			return op{typeReaddir, []any{g.handle()}}
		case 16:
			return op{typeRemove, []any{n()}}
		case 17:
			return op{typeMkdir, []any{n(), g.attrs(0o177777)}}
		case 18:
			return op{typeRmdir, []any{n()}}
		case 19:
			return op{typeRealpath, []any{n()}}
		case 20: // the other kind differs for links that lead nowhere
			return extended("posix-rename@openssh.com", n(), n())
		case 21:
			return op{typeReadlink, []any{n()}}
		case 22:
			return op{typeSymlink, []any{strings.TrimSuffix(n(), "/"), n()}}
		case 23:
			return extended("posix-rename@openssh.com", n(), n())
		case 24:
			return extended("hardlink@openssh.com", n(), n())
		case 25:
			return extended("fsync@openssh.com", g.handle())
		case 26:
			return extended("lsetstat@openssh.com", n(), g.attrs(0o177777))
		case 27, 28:
			return extended("expand-path@openssh.com", n())
		case 29:
			return extended("unknown@example.com", n())
		}
	}
}
