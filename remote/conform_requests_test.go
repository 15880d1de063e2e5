package main

import (
	"encoding/binary"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// sftpRaw is an SFTP client that sends and receives single packets.
type sftpRaw struct {
	*sshkit.Channel
	buf []byte
	id  uint32
}

func sftpSession(tb testing.TB, s *sshkit.Server) *sftpRaw {
	tb.Helper()
	x := &sftpRaw{Channel: s.RawDial(tb).Open("session", 1<<20, nil)}
	x.Request("subsystem", true, field("sftp"))
	want(tb, "subsystem", x.Next().Kind, "success")
	x.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
	want(tb, "version", x.packet()[0], byte(2))
	return x
}

// packet returns the next answer without its length.
func (x *sftpRaw) packet() []byte {
	for len(x.buf) < 4 || len(x.buf) < 4+int(binary.BigEndian.Uint32(x.buf)) {
		f := x.Next()
		if f.Kind != "data" {
			return []byte{0, 0, 0, 0, 0, 0, 0, 0, 0} // no answer is of this type
		}
		x.buf = append(x.buf, f.Data...)
	}
	n := 4 + int(binary.BigEndian.Uint32(x.buf))
	p := x.buf[4:n]
	x.buf = x.buf[n:]
	return p
}

// send sends a request with its fields and returns its id.
func (x *sftpRaw) send(typ byte, fields ...[]byte) uint32 {
	x.id++
	body := binary.BigEndian.AppendUint32([]byte{typ}, x.id)
	for _, f := range fields {
		body = append(body, f...)
	}
	x.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return x.id
}

// ask returns the answer to a request, from its type on.
func (x *sftpRaw) ask(typ byte, fields ...[]byte) []byte {
	x.send(typ, fields...)
	return x.packet()
}

// code of a status; 99 for an answer of another kind.
func code(reply []byte) uint32 {
	if reply[0] != 101 {
		return 99
	}
	return binary.BigEndian.Uint32(reply[5:])
}

// Fields of packets.
func field(s string) []byte  { return ssh.Marshal(struct{ S string }{s}) }
func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func offset(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Types of requests of SFTP, and of what answers with a status.
const (
	fxOpen, fxClose, fxRead, fxWrite, fxLstat, fxFstat = 3, 4, 5, 6, 7, 8
	fxOpendir, fxRemove, fxRmdir, fxStat, fxReadlink   = 11, 13, 15, 17, 19
	fxOK, fxNoSuchFile, fxFailure, fxBadMessage        = 0, 2, 4, 5
)

func sftpKinds(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/file", []byte("x"))
	_ = os.Mkdir(d+"/folder", 0o755)
	_ = os.Symlink("folder", d+"/link")
	x := sftpSession(tb, s)
	for _, c := range []struct {
		typ  byte
		name string
		ok   bool
	}{
		{fxRemove, "folder", false},
		{fxRmdir, "file", false},
		{fxRmdir, "link", false},
		{fxRemove, "none", false},
		{fxRemove, "link", true},
		{fxRemove, "file", true},
		{fxRmdir, "folder", true},
	} {
		want(tb, c.name+" removed", code(x.ask(c.typ, field(d+"/"+c.name))) == fxOK, c.ok)
	}
}

// handle opens a file and returns its handle as a field.
func (x *sftpRaw) handle(tb testing.TB, path string, flags uint32) []byte {
	tb.Helper()
	reply := x.ask(fxOpen, field(path), number(flags), number(0))
	if reply[0] != 102 {
		tb.Fatalf("open %s: %q", path, reply)
	}
	return append([]byte(nil), reply[5:]...)
}

func sftpAppend(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/log", []byte("one\n"))
	write(tb, d+"/plain", []byte("....\n"))
	x := sftpSession(tb, s)
	log, plain := x.handle(tb, d+"/log", 2|4), x.handle(tb, d+"/plain", 2)
	for _, h := range [][]byte{log, plain, log} {
		want(tb, "status", code(x.ask(fxWrite, h, offset(0), field("two\n"))), uint32(fxOK))
	}
	want(tb, "close", code(x.ask(fxClose, log)), uint32(fxOK))
	want(tb, "appended", read(tb, d+"/log"), "one\ntwo\ntwo\n")
	want(tb, "written", read(tb, d+"/plain"), "two\n\n")
	want(tb, "after the close", code(x.ask(fxWrite, log, offset(0), field("x"))) == fxOK, false)
	// The size is the one after the writes that were sent before.
	for range 20 {
		x.send(fxWrite, plain, offset(1<<20), field("end"))
	}
	id := x.send(fxFstat, plain)
	for {
		reply := x.packet()
		if binary.BigEndian.Uint32(reply[1:]) != id {
			continue
		}
		want(tb, "size", binary.BigEndian.Uint64(reply[9:]), uint64(1<<20+3))
		break
	}
}

func sftpNoAccess(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/a", []byte("content"))
	x := sftpSession(tb, s)
	h := x.handle(tb, d+"/a", 0)
	want(tb, "read", string(x.ask(fxRead, h, offset(0), number(100))[9:]), "content")
	_ = x.handle(tb, d+"/new", 8|0x20) // create, exclusively
	want(tb, "again", code(x.ask(fxOpen, field(d+"/new"), number(8|0x20), number(0))), uint32(fxFailure))
}

func sftpPipe(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("its process waits for the other end of the pipe, until it is killed with its client")
	}
	d := tb.TempDir()
	if err := syscall.Mkfifo(d+"/pipe", 0o600); err != nil {
		tb.Fatal(err)
	}
	write(tb, d+"/file", []byte("x"))
	x := sftpSession(tb, s)
	want(tb, "read", code(x.ask(fxOpen, field(d+"/pipe"), number(1), number(0))), uint32(fxFailure))
	want(tb, "written", code(x.ask(fxOpen, field(d+"/pipe"), number(2), number(0))), uint32(fxFailure))
	r := batch(tb, s, "get "+d+"/pipe "+d+"/copy")
	want(tb, "get: "+r.Stderr, r.Code != 0, true)
	want(tb, "a file after that", x.handle(tb, d+"/file", 1) != nil, true)
}

func sftpBelowFile(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/file", []byte("x"))
	_ = os.Symlink("loop", d+"/loop")
	x := sftpSession(tb, s)
	for _, name := range []string{"/file/below", "/file/", "/loop/below", "/none"} {
		for _, typ := range []byte{fxStat, fxLstat, fxOpendir} {
			want(tb, name, code(x.ask(typ, field(d+name))), uint32(fxNoSuchFile))
		}
		want(tb, name, code(x.ask(fxOpen, field(d+name), number(1), number(0))), uint32(fxNoSuchFile))
	}
	want(tb, "a file as a folder", code(x.ask(fxOpendir, field(d+"/file"))), uint32(fxNoSuchFile))
	want(tb, "a file as a link", code(x.ask(fxReadlink, field(d+"/file"))), uint32(fxBadMessage))
	want(tb, "a loop itself", x.ask(fxLstat, field(d+"/loop"))[0], byte(105))
}

func sftpUnknownRequest(tb testing.TB, s *sshkit.Server) {
	x := sftpSession(tb, s)
	want(tb, "extension", code(x.ask(200, field("no-such@example.com"), field("data"))), uint32(8))
	if !s.OpenSSH { // other types end its session
		want(tb, "type", code(x.ask(99, field("data"))), uint32(8))
	}
	want(tb, "status of the next request", x.ask(fxStat, field("/"))[0], byte(105))
}

func sftpRelative(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("it starts in the home directory")
	}
	d := tb.TempDir()
	write(tb, d+"/local", []byte("x"))
	s = startOurs(tb, "--work-dir="+d)
	out := must(tb, s, "pwd", "put "+d+"/local a", "rename a b", "ln -s b c", "ln b d", "mkdir e", "put "+d+"/local e/f", "df e")
	want(tb, "pwd: "+out, strings.Contains(out, ": "+d+"\n"), true)
	want(tb, "content", read(tb, d+"/c")+read(tb, d+"/d")+read(tb, d+"/e/f"), "xxx")
}
