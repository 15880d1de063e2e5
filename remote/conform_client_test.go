package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceClients shows what options and habits of clients meet.
func TestConformanceClients(t *testing.T) {
	conform(t, []row{
		{id: "B10", what: "failing command in a terminal: output whole and nothing added", test: ptyFailing},
		{id: "B21", what: "kind of the interactive shell", test: shellKind},
		{id: "B27", what: "script on stdin of a forced terminal without a command", test: ptyScript},
		{id: "B28", what: "the client's escape ends the session", test: clientEscape},
		{id: "F06", what: "localhost and ::1 as destinations", test: forwardFamilies},
		{id: "H12", what: "names of owners and free inodes", test: sftpOwners},
		{id: "H20", what: "attributes of an open file", test: sftpOpenFile},
		{id: "H23", what: "ten sftp sessions at once on one connection", test: sftpMany},
		{id: "J10", what: "two servers have two host keys", test: twoHostKeys},
		{id: "J13", what: "compression that is asked for is no obstacle", test: compression},
		{id: "J19", what: "a client with old ciphers only is told what does not match", test: oldCiphers},
		{id: "F26", what: "X11 and tunnels are refused, the command runs", test: x11AndTunnel},
		{id: "M04", what: "probes of an editor", test: editorProbes},
		{id: "M05", what: "a jump through the server to itself", test: jump},
		{id: "M06", what: "many processes on one connection, files and commands mixed", test: mixed},
	})
}

func ptyFailing(tb testing.TB, s *sshkit.Server) {
	out, err := inTerminal(tb, s, nil, "seq 1 50000; exit 3")
	want(tb, "end", fmt.Sprint(err), "Process exited with status 3")
	lines := strings.Split(out, "\r\n")
	want(tb, "lines", len(lines), 50001)
	want(tb, "last", strings.Join(lines[max(0, len(lines)-2):], "|"), "50000|")
}

// shellKind: the reference starts login shells. Ours does not unless asked to:
// /etc/profile of most images overwrites the PATH of the image.
func shellKind(tb testing.TB, s *sshkit.Server) {
	kind := func(s *sshkit.Server) string {
		x := terminalOn(tb, s.Dial(tb), nil)
		x.run("")
		x.send("echo kind:$0:; exit\n")
		return x.expect(`kind:([^$:]*):`)[1]
	}
	isLogin := func(s *sshkit.Server) bool { return strings.HasPrefix(kind(s), "-") }
	want(tb, "login shell", isLogin(s), s.OpenSSH)
	if !s.OpenSSH {
		want(tb, "login shell, asked for", isLogin(startOurs(tb, "--login-shell")), true)
	}
	want(tb, "a command's shell", strings.HasPrefix(s.Exec(tb, "", "echo $0").Stdout, "-"), false)
}

func ptyScript(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-tt", "pod")
	cmd.Stdin = strings.NewReader("stty -echo\necho so''me\nexit 3\n")
	r := sshkit.Run(tb, cmd)
	want(tb, "status", r.Code, 3)
	want(tb, "output", strings.Contains(r.Stdout, "some\r\n"), true)
}

func clientEscape(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("-tt", "pod", "sleep "+m)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	sshkit.Await(tb, "it runs", func() bool { return alive(m) })
	_, _ = in.Write([]byte("\r~."))
	_ = cmd.Wait()
	want(tb, "status", cmd.ProcessState.ExitCode(), 255)
	sshkit.Await(tb, "it ends", func() bool { return !alive(m) })
}

func forwardFamilies(tb testing.TB, s *sshkit.Server) {
	for _, listen := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
		if err != nil {
			tb.Skipf("no %s here: %v", listen, err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("hello\n"))
				_ = conn.Close()
			}
		}()
		destinations := []string{listen}
		if listen == "127.0.0.1" || !s.OpenSSH { // the reference asks the hosts file only
			destinations = append(destinations, "localhost")
		}
		for _, to := range destinations {
			r := sshkit.Run(tb, s.SSH("-W", net.JoinHostPort(to, fmt.Sprint(portOf(l))), "pod"))
			want(tb, "from "+to+", "+listen+" listens", r.Stdout, "hello\n")
		}
	}
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
	c, err := sftp.NewClient(s.Dial(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	_, ok := c.HasExtension("users-groups-by-id@openssh.com")
	want(tb, "users-groups-by-id", ok, true)
}

func sftpOpenFile(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	c, err := sftp.NewClient(s.Dial(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
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

func scannedKey(tb testing.TB, s *sshkit.Server) string {
	tb.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	out, err := exec.Command("ssh-keyscan", "-T", "10", "-p", port, host).Output()
	if err != nil {
		tb.Fatalf("ssh-keyscan: %v", err)
	}
	f := strings.Fields(string(out))
	if len(f) != 3 || f[1] != "ssh-ed25519" {
		tb.Fatalf("host keys: %s", out)
	}
	return f[2]
}

func twoHostKeys(tb testing.TB, s *sshkit.Server) {
	if scannedKey(tb, s) == scannedKey(tb, start(tb)) {
		tb.Error("they are the same")
	}
}

func compression(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-C", "-o", "Compression=yes", "pod", "cat")
	data := strings.Repeat("compressible\n", 10000)
	cmd.Stdin = strings.NewReader(data)
	want(tb, "echo", sshkit.Run(tb, cmd).Stdout == data, true)
}

func oldCiphers(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-c", "aes128-cbc,3des-cbc", "pod", "true")
	for i, a := range cmd.Args {
		if a == "LogLevel=ERROR" {
			cmd.Args[i] = "LogLevel=INFO"
		}
	}
	r := sshkit.Run(tb, cmd)
	want(tb, "status", r.Code, 255)
	want(tb, "reason: "+r.Stderr, strings.Contains(r.Stderr, "no matching cipher found. Their offer: "), true)
}

func x11AndTunnel(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-Y", "pod", "echo in:$DISPLAY")
	cmd.Env = append(cmd.Env, "DISPLAY=127.0.0.1:99", "XAUTHORITY="+filepath.Join(tb.TempDir(), "none"))
	want(tb, "with X11", sshkit.Run(tb, cmd).Stdout, "in:\n")
	r := sshkit.Run(tb, s.SSH("-w", "any:any", "-o", "ExitOnForwardFailure=no", "pod", "echo in"))
	if r.Code == 0 { // without a device here the client gives up by itself
		want(tb, "with a tunnel", r.Stdout, "in\n")
	}
}

func editorProbes(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", `bash -lc 'uname -m; echo home:$HOME; command -v tar'; sh -c "uname -s; id -u"`)
	want(tb, "status", r.Code, 0)
	want(tb, "answers: "+r.Stdout, regexp.MustCompile(`^\S+\nhome:/\S*\n/\S*tar\nLinux\n0\n$`).MatchString(r.Stdout), true)
	r = s.Exec(tb, "uname -rsv\necho done:$?\n", "sh")
	want(tb, "script: "+r.Stdout, strings.HasPrefix(r.Stdout, "Linux ") && strings.HasSuffix(r.Stdout, "\ndone:0\n"), true)
	// Compound commands arrive as they are.
	r = s.Exec(tb, "", `cd / && pwd; for i in 1 2; do echo "$i  '"; done | cat -A`)
	want(tb, "compound", r.Stdout, "/\n1  '$\n2  '$\n")
	want(tb, "an empty command", sshkit.Run(tb, s.SSH("-n", "pod", ":")).Code, 0)
}

func jump(tb testing.TB, s *sshkit.Server) {
	proxy := "ProxyCommand=" + s.Shell() + " -W " + s.Addr + " pod"
	cmd := s.SSH("-o", proxy, "pod", "cat; exit 5")
	data := string(noise(1 << 20))
	cmd.Stdin = strings.NewReader(data)
	r := sshkit.Run(tb, cmd)
	want(tb, "status", r.Code, 5)
	want(tb, "echo", r.Stdout == data, true)
}

func mixed(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	ctl := filepath.Join(d, "ctl")
	master := s.SSH("-N", "-M", "-S", ctl, "pod")
	if err := master.Start(); err != nil {
		tb.Fatal(err)
	}
	defer func() {
		_ = master.Process.Kill()
		_ = master.Wait()
	}()
	sshkit.Await(tb, "the shared connection", func() bool { _, err := os.Stat(ctl); return err == nil })
	write(tb, d+"/file", noise(4<<20))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			to := fmt.Sprintf("%s/copy%d", d, i)
			r := sshkit.Run(tb, s.SCP("-o", "ControlPath="+ctl, d+"/file", "pod:"+to))
			if r.Code != 0 || read(tb, to) != read(tb, d+"/file") {
				tb.Errorf("scp: %d %s", r.Code, r.Stderr)
			}
		}()
		go func() {
			defer wg.Done()
			r := sshkit.Run(tb, s.SSH("-S", ctl, "pod", fmt.Sprintf("seq 1 20000 | tail -1; exit %d", i)))
			if r.Code != i || r.Stdout != "20000\n" {
				tb.Errorf("ssh: %d %q %s", r.Code, r.Stdout, r.Stderr)
			}
		}()
	}
	wg.Wait()
}
