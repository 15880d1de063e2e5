package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceFiles(t *testing.T) {
	conform(t, []row{
		{id: "H01", what: "sftp put and get", test: sftpPutGet},
		{id: "H02", what: "rename over an existing file", test: sftpRename},
		{id: "H03", what: "symbolic and hard links", test: sftpLinks},
		{id: "H04", what: "modes with setuid, directories, removal", test: sftpModes},
		{id: "H05", what: "put -p and get -p keep time and mode", test: sftpPreserve},
		{id: "H06", what: "a directory of 10000 files", test: sftpReaddir},
		{id: "H07", what: "resumed transfers", test: sftpResume},
		{id: "H13", what: "a tree of small files both ways", test: sftpTree},
		{id: "H14", what: "kinds of errors", test: sftpErrors},
		{id: "H16", what: "files of /proc", test: sftpProc},
		{id: "H17", what: "offsets above 4 GB", test: sftpBigOffset},
		{id: "H18", what: "dangling links and odd names", test: sftpOddNames},
		{id: "H19", what: "a killed client leaves nothing open", test: sftpKilled},
		{id: "H21", what: "unknown subsystem is refused", test: unknownSubsystem},
		{id: "H22", what: "status 0 before the close", test: sftpStatus},
	})
}

// batch runs sftp commands; the first that fails ends it.
func batch(tb testing.TB, s *sshkit.Server, commands ...string) sshkit.Result {
	tb.Helper()
	cmd := s.SFTP("-b", "-", "pod")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	return sshkit.Run(tb, cmd)
}

// must is batch for commands that succeed.
func must(tb testing.TB, s *sshkit.Server, commands ...string) string {
	tb.Helper()
	r := batch(tb, s, commands...)
	if r.Code != 0 {
		tb.Fatalf("sftp %q: status %d: %s", commands, r.Code, r.Stderr)
	}
	return r.Stdout
}

func write(tb testing.TB, path string, data []byte) string {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Error(err)
	}
	return string(data)
}

func sftpPutGet(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	data := noise(scale(50<<20, 12<<20) + 17)
	write(tb, d+"/a", data)
	must(tb, s, "put "+d+"/a "+d+"/b", "get "+d+"/b "+d+"/c")
	want(tb, "equal", read(tb, d+"/b") == string(data) && read(tb, d+"/c") == string(data), true)
}

func sftpRename(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/a", []byte("new"))
	write(tb, d+"/b", []byte("old"))
	must(tb, s, "rename "+d+"/a "+d+"/b")
	want(tb, "content", read(tb, d+"/b"), "new")
	c := sftpClient(tb, s)
	write(tb, d+"/c", []byte("c"))
	want(tb, "plain rename onto a file succeeds", c.Rename(d+"/c", d+"/b") == nil, false)
	want(tb, "posix rename", c.PosixRename(d+"/c", d+"/b"), error(nil))
}

func sftpLinks(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/f", []byte("x"))
	must(tb, s, "ln -s f "+d+"/rel", "ln -s "+d+"/f "+d+"/abs", "ln "+d+"/f "+d+"/hard")
	for link, target := range map[string]string{"rel": "f", "abs": d + "/f"} {
		got, _ := os.Readlink(d + "/" + link)
		want(tb, link, got, target)
	}
	a, _ := os.Stat(d + "/f")
	b, _ := os.Stat(d + "/hard")
	want(tb, "hard link", os.SameFile(a, b), true)
	c := sftpClient(tb, s)
	got, err := c.ReadLink(d + "/rel")
	want(tb, fmt.Sprint("readlink ", err), got, "f")
	if err := os.Symlink(d, d+"/dir"); err != nil {
		tb.Fatal(err)
	}
	got, err = c.RealPath(d + "/dir/f")
	want(tb, fmt.Sprint("realpath ", err), got, d+"/f")
}

func sftpModes(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/f", []byte("x"))
	must(tb, s, "chmod 4755 "+d+"/f", "mkdir "+d+"/sub", "chmod 2770 "+d+"/sub")
	st, _ := os.Stat(d + "/f")
	want(tb, "setuid", st.Mode(), os.ModeSetuid|0o755)
	st, _ = os.Stat(d + "/sub")
	want(tb, "setgid", st.Mode(), os.ModeDir|os.ModeSetgid|0o770)
	must(tb, s, "rmdir "+d+"/sub", "rm "+d+"/f")
	left, _ := os.ReadDir(d)
	want(tb, "entries left", len(left), 0)
}

func sftpPreserve(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/a", []byte("x"))
	read, written := time.Unix(1_400_000_000, 0), time.Unix(1_500_000_000, 0)
	_ = os.Chmod(d+"/a", 0o640)
	_ = os.Chtimes(d+"/a", read, written)
	must(tb, s, "put -p "+d+"/a "+d+"/b")
	_ = os.Chtimes(d+"/b", read, written) // it was read meanwhile
	must(tb, s, "get -p "+d+"/b "+d+"/c")
	for _, f := range []string{"/b", "/c"} {
		st, err := os.Stat(d + f)
		if err != nil {
			tb.Fatal(err)
		}
		want(tb, f+" written", st.ModTime().Unix(), written.Unix())
		want(tb, f+" mode", st.Mode(), os.FileMode(0o640))
	}
	st, _ := os.Stat(d + "/c")
	want(tb, "last read", st.Sys().(*syscall.Stat_t).Atim.Sec, read.Unix())
}

func sftpReaddir(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	n := scale(10000, 3000)
	for i := range n {
		write(tb, fmt.Sprintf("%s/f%05d", d, i), nil)
	}
	want(tb, "lines", strings.Count(must(tb, s, "ls -1 "+d), "/f"), n)
	want(tb, "long lines", strings.Count(must(tb, s, "ls -l "+d), "root "), 2*n)
}

func sftpResume(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	data := noise(3 << 20)
	write(tb, d+"/a", data)
	write(tb, d+"/b", data[:1<<20])
	write(tb, d+"/c", data[:2<<20])
	must(tb, s, "reput "+d+"/a "+d+"/b", "reget "+d+"/a "+d+"/c")
	want(tb, "equal", read(tb, d+"/b") == string(data) && read(tb, d+"/c") == string(data), true)
}

func sftpTree(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	for i := range scale(1000, 200) {
		sub := fmt.Sprintf("%s/src/d%d", d, i%10)
		_ = os.MkdirAll(sub, 0o755)
		write(tb, fmt.Sprintf("%s/f%d", sub, i), noise(i))
	}
	_ = os.MkdirAll(d+"/src/empty", 0o755)
	_ = os.Mkdir(d+"/dst", 0o755)
	_ = os.Mkdir(d+"/back", 0o755)
	must(tb, s, "put -r "+d+"/src "+d+"/dst", "get -r "+d+"/dst/src "+d+"/back")
	out, err := exec.Command("sh", "-c", fmt.Sprintf("diff -r %[1]s/src %[1]s/dst/src && diff -r %[1]s/src %[1]s/back/src", d)).CombinedOutput()
	want(tb, "difference "+string(out), err, error(nil))
}

func sftpErrors(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	_ = os.MkdirAll(d+"/full/x", 0o755)
	for command, message := range map[string]string{
		"get " + d + "/none":      "not found",
		"ls " + d + "/none":       "not found",
		"mkdir " + d + "/full":    "Failure",
		"rmdir " + d + "/full":    "Failure",
		"rm " + d + "/none":       "No such file",
		"rename " + d + "/q /w":   "No such file",
		"put /etc/passwd /proc/x": "No such file",
	} {
		r := batch(tb, s, command)
		want(tb, command+" status", r.Code, 1)
		want(tb, command+": "+r.Stderr, strings.Contains(r.Stderr, message), true)
	}
}

func sftpProc(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	must(tb, s, "get /proc/version "+d+"/v")
	want(tb, "content", read(tb, d+"/v"), read(tb, "/proc/version"))
}

func sftpBigOffset(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	c := sftpClient(tb, s)
	f, err := c.Create(d + "/sparse")
	if err != nil {
		tb.Fatal(err)
	}
	const offset = 5 << 30
	if _, err := f.WriteAt([]byte("far"), offset); err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 3)
	_, err = f.ReadAt(b, offset)
	want(tb, fmt.Sprint("read back ", err), string(b), "far")
	_ = f.Close()
	st, _ := os.Stat(d + "/sparse")
	want(tb, "size", st.Size(), int64(offset+3))
}

func sftpOddNames(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	_ = os.Symlink("nowhere", d+"/dangling")
	names := []string{"with space", "ümläut", "new\nline", "quo'te\"s", "-dash", "100%", "back\\slash", "not\xff\xfeutf8"}
	for _, n := range names {
		write(tb, filepath.Join(d, n), []byte(n))
	}
	c := sftpClient(tb, s)
	list, err := c.ReadDir(d)
	want(tb, fmt.Sprint("entries ", err), len(list), len(names)+1)
	for _, n := range names {
		f, err := c.Open(filepath.Join(d, n))
		if err != nil {
			tb.Errorf("%q: %v", n, err)
			continue
		}
		b := make([]byte, len(n))
		_, _ = f.Read(b)
		want(tb, "content", string(b), n)
		_ = f.Close()
	}
	want(tb, "dangling link listed", strings.Contains(must(tb, s, "ls -l "+d), "dangling"), true)
}

func sftpKilled(tb testing.TB, s *sshkit.Server) {
	before := 0
	if !s.OpenSSH {
		before = countFDs(s)
	}
	c := s.Dial(tb)
	client, err := sftp.NewClient(c)
	if err != nil {
		tb.Fatal(err)
	}
	d := tb.TempDir()
	for i := range 20 {
		if _, err := client.Create(fmt.Sprintf("%s/%d", d, i)); err != nil {
			tb.Fatal(err)
		}
	}
	_ = c.Close()
	if !s.OpenSSH {
		sshkit.Await(tb, "descriptors are back", func() bool { return countFDs(s) <= before })
	}
}

func unknownSubsystem(tb testing.TB, s *sshkit.Server) {
	sess, err := s.Dial(tb).NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	want(tb, "accepted", sess.RequestSubsystem("no-such") == nil, false)
}

func sftpStatus(tb testing.TB, s *sshkit.Server) {
	for range scale(100, 20) {
		ch := s.RawDial(tb).Open("session", 1<<20, nil)
		ch.Request("subsystem", true, ssh.Marshal(struct{ N string }{"sftp"}))
		want(tb, "reply", ch.Next().Kind, "success")
		ch.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
		want(tb, "version", ch.Next().Kind, "data")
		ch.EOF()
		kinds := fmt.Sprint(sshkit.Kinds(ch.Record()))
		if kinds != "[eof exit-status close]" && kinds != "[exit-status eof close]" {
			tb.Fatalf("got %s", kinds)
		}
		_ = ch.Conn.Close()
	}
}
