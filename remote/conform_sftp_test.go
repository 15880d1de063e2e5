package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceSFTP shows extensions of SFTP and what single requests do.
func TestConformanceSFTP(t *testing.T) {
	conform(t, []row{
		{id: "H08", what: "free space", test: sftpStatvfs},
		{id: "H09", what: "a file is written through to the disk", test: sftpSync},
		{id: "H10", what: "files are copied on the server", test: sftpCopy},
		{id: "H11", what: "limits are announced", test: sftpLimits},
		{id: "H12", what: "names of owners and free inodes", test: sftpOwners},
		{id: "H20", what: "attributes of a link and of what it leads to", test: sftpLinkAttributes},
		{id: "H24", what: "attributes of an open file", test: sftpOpenFile},
		{id: "H25", what: "rm is for files, rmdir for folders", test: sftpKinds},
		{id: "H26", what: "a file opened to append is written at its end", test: sftpAppend},
		{id: "H27", what: "a named pipe blocks nobody", test: sftpPipe},
		{id: "H28", what: "a name below a file is none that exists", test: sftpBelowFile},
		{id: "H29", what: "unknown requests are refused, the session lives", test: sftpUnknownRequest},
		{id: "H30", what: "relative names", test: sftpRelative},
		{id: "H31", what: "a file opened neither to read nor to write is opened to read", test: sftpNoAccess},
		{id: "H23", what: "ten sftp sessions at once on one connection", test: sftpMany},
	})
}

func sftpStatvfs(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	out := must(tb, s, "df "+d)
	var st syscall.Statfs_t
	_ = syscall.Statfs(d, &st)
	size := st.Blocks * uint64(st.Frsize) / 1024
	want(tb, "size", strings.Contains(out, fmt.Sprint(size)), true)
}

// sftpClient of a connection of its own.
func sftpClient(tb testing.TB, s *sshkit.Server) *sftp.Client {
	tb.Helper()
	c, err := sftp.NewClient(s.Dial(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func announced(tb testing.TB, c *sftp.Client, names ...string) {
	tb.Helper()
	for _, name := range names {
		_, ok := c.HasExtension(name)
		want(tb, name, ok, true)
	}
}

func sftpSync(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	data := noise(1 << 20)
	write(tb, d+"/a", data)
	c := sftpClient(tb, s)
	announced(tb, c, "fsync@openssh.com")
	must(tb, s, "put -f "+d+"/a "+d+"/b")
	want(tb, "written", read(tb, d+"/b") == string(data), true)
	f, err := c.OpenFile(d+"/synced", os.O_CREATE|os.O_WRONLY)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = f.Write(data)
	want(tb, "fsync", f.Sync(), error(nil))
	_ = os.Rename(d+"/synced", d+"/renamed")
	want(tb, "fsync of a renamed file", f.Sync(), error(nil))
	_ = f.Close()
}

func sftpCopy(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	data := noise(1 << 20)
	write(tb, d+"/a", data)
	announced(tb, sftpClient(tb, s), "copy-data")
	must(tb, s, "cp "+d+"/a "+d+"/copy")
	want(tb, "copied", read(tb, d+"/copy") == string(data), true)
}

func sftpLimits(tb testing.TB, s *sshkit.Server) {
	announced(tb, sftpClient(tb, s), "limits@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com",
		"fstatvfs@openssh.com", "hardlink@openssh.com", "lsetstat@openssh.com", "expand-path@openssh.com")
	x := sftpSession(tb, s)
	reply := x.ask(200, field("limits@openssh.com"))
	want(tb, "type of the answer", reply[0], byte(201))
	longest, read, write := binary.BigEndian.Uint64(reply[5:]), binary.BigEndian.Uint64(reply[13:]), binary.BigEndian.Uint64(reply[21:])
	want(tb, fmt.Sprint("packet, read, write: ", longest, read, write), longest >= 256<<10 && read > 128<<10 && write > 128<<10, true)
}

func sftpLinkAttributes(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/a", []byte("x"))
	if err := os.Symlink("a", d+"/link"); err != nil {
		tb.Fatal(err)
	}
	owner := func(file string) uint32 {
		st, err := os.Lstat(file)
		if err != nil {
			tb.Fatal(err)
		}
		return st.Sys().(*syscall.Stat_t).Uid
	}
	must(tb, s, "chown -h 1 "+d+"/link")
	want(tb, "owner of the link", owner(d+"/link"), uint32(1))
	want(tb, "owner of its target", owner(d+"/a"), uint32(0))
	must(tb, s, "chown 2 "+d+"/link", "chmod 640 "+d+"/link")
	want(tb, "owner of the link", owner(d+"/link"), uint32(1))
	want(tb, "owner of its target", owner(d+"/a"), uint32(2))
	st, _ := os.Stat(d + "/a")
	want(tb, "mode of its target", st.Mode(), os.FileMode(0o640))
}

func sftpOwners(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	write(tb, d+"/file", []byte("x"))
	if err := os.Chown(d+"/file", 1, 2); err != nil {
		tb.Fatal(err)
	}
	long := must(tb, s, "ls -l "+d)
	want(tb, "long names: "+long, regexp.MustCompile(`(?m)^-rw-r--r-- .*\bdaemon +bin +1 .* (.*/)?file$`).MatchString(long), true)
	inodes := must(tb, s, "df -i "+d)
	want(tb, "df -i: "+inodes, strings.Contains(inodes, "Inodes") && strings.Contains(inodes, "%"), true)
	announced(tb, sftpClient(tb, s), "users-groups-by-id@openssh.com")
}

func sftpOpenFile(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	c := sftpClient(tb, s)
	f, err := c.OpenFile(d+"/file", os.O_CREATE|os.O_RDWR)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	_, _ = f.Write([]byte("0123456789"))
	want(tb, "truncate", f.Truncate(4), error(nil))
	want(tb, "chmod", f.Chmod(0o640), error(nil))
	_ = os.Rename(d+"/file", d+"/elsewhere")
	want(tb, "truncate of a renamed file", f.Truncate(2), error(nil))
	want(tb, "content", read(tb, d+"/elsewhere"), "01")
	st, err := os.Stat(d + "/elsewhere")
	want(tb, fmt.Sprint("mode ", err), st.Mode().Perm(), os.FileMode(0o640))
}

func sftpMany(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	data := noise(1 << 20)
	conn := s.Dial(tb)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := sftp.NewClient(conn)
			if err != nil {
				tb.Error(err)
				return
			}
			defer c.Close()
			f, err := c.Create(fmt.Sprintf("%s/%d", d, i))
			if err != nil {
				tb.Error(err)
				return
			}
			_, err = f.Write(data)
			if cerr := f.Close(); err != nil || cerr != nil {
				tb.Error(err, cerr)
			}
		}()
	}
	wg.Wait()
	for i := range 10 {
		want(tb, "content", read(tb, fmt.Sprintf("%s/%d", d, i)) == string(data), true)
	}
}
