package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceClients shows habits of editors and of clients that share a connection.
func TestConformanceClients(t *testing.T) {
	conform(t, []row{
		{id: "G01", what: "20 parallel sessions on one connection", test: multiplexed},
		{id: "M01", what: "an editor's bootstrap: script on stdin, SOCKS meanwhile", test: editorBootstrap},
		{id: "M04", what: "probes of an editor", test: editorProbes},
		{id: "M05", what: "a jump through the server to itself", test: jump},
		{id: "M06", what: "many processes on one connection, files and commands mixed", test: mixed},
		{id: "M07", what: "forwards of a client in the background", test: backgroundClient},
		{id: "M08", what: "a connection that outlives its first command", test: controlPersist},
		{id: "M09", what: "a terminal for a client that has none", test: terminalWithout},
	})
}

func multiplexed(tb testing.TB, s *sshkit.Server) {
	ctl := sharedConnection(tb, s)
	results := make(chan string, 20)
	for i := range cap(results) {
		go func() {
			results <- sshkit.Run(tb, s.SSH("-S", ctl, "pod", fmt.Sprintf("seq 1 1000 | tail -1; exit %d", i))).Stdout
		}()
	}
	for range cap(results) {
		want(tb, "output", <-results, "1000\n")
	}
}

func editorBootstrap(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	addr := fmt.Sprintf("127.0.0.1:%d", sshkit.FreePort(tb))
	cmd := s.SSH("-T", "-D", addr, "pod", "bash")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	m := mark()
	killMarked(tb, m)
	_, _ = fmt.Fprintf(in, "nohup sleep %s >/dev/null 2>&1 &\necho listening on 1\n", m)
	b := make([]byte, len("listening on 1\n"))
	_, _ = io.ReadFull(out, b)
	want(tb, "first word", string(b), "listening on 1\n")
	conn := dialSoon(tb, "tcp", addr)
	port := portOf(l)
	_, _ = conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	_, err := io.ReadFull(conn, make([]byte, 2+10))
	want(tb, "socks", err, error(nil))
	if err := roundTrip(conn, noise(1<<20)); err != nil {
		tb.Error(err)
	}
	sshkit.Await(tb, "editor's server alive", func() bool { return alive(m) })
	_, _ = io.WriteString(in, "exit 3\n")
	_ = cmd.Wait()
	want(tb, "status", cmd.ProcessState.ExitCode(), 3)
	want(tb, "editor's server alive", alive(m), true)
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
	ctl := sharedConnection(tb, s)
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

// endShared ends a client that serves others and that nobody waits for.
func endShared(tb testing.TB, s *sshkit.Server, ctl string) {
	tb.Helper()
	tb.Cleanup(func() {
		_ = s.SSH("-S", ctl, "-O", "exit", "pod").Run()
		sshkit.Await(tb, "it has ended", func() bool { _, err := os.Stat(ctl); return os.IsNotExist(err) })
	})
}

// detachedClient runs a client of which a part goes on in the background. That holds
// its output, so this is a file and nobody waits for its end.
func detachedClient(tb testing.TB, cmd *exec.Cmd) (stdout string, code int) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "output")
	f, err := os.Create(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	code = sshkit.Run(tb, cmd).Code
	return read(tb, file), code
}

func backgroundClient(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	local, remote := sshkit.FreePort(tb), sshkit.FreePort(tb)
	ctl := filepath.Join(tb.TempDir(), "ctl")
	out, code := detachedClient(tb, s.SSH("-f", "-N", "-M", "-S", ctl, "-o", "ExitOnForwardFailure=yes",
		"-L", fmt.Sprintf("127.0.0.1:%d:%s", local, l.Addr()), "-R", fmt.Sprintf("127.0.0.1:%d:%s", remote, l.Addr()), "pod"))
	want(tb, "status: "+out, code, 0)
	endShared(tb, s, ctl)
	for _, port := range []int{local, remote} { // they are there when the client leaves
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			tb.Fatal(err)
		}
		want(tb, "echo", roundTrip(conn, noise(100_000)), error(nil))
		_ = conn.Close()
	}
}

func controlPersist(tb testing.TB, s *sshkit.Server) {
	ctl := filepath.Join(tb.TempDir(), "ctl")
	shared := []string{"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath=" + ctl, "pod"}
	out, code := detachedClient(tb, s.SSH(append(shared, "echo $SSH_CONNECTION; exit 3")...))
	endShared(tb, s, ctl)
	want(tb, "status", code, 3)
	again, code := detachedClient(tb, s.SSH(append(shared, "echo $SSH_CONNECTION; exit 4")...))
	want(tb, "status", code, 4)
	want(tb, "connection", again, out)
}

func terminalWithout(tb testing.TB, s *sshkit.Server) {
	for _, args := range [][]string{{"-tt"}, {"-o", "RequestTTY=force"}} {
		r := sshkit.Run(tb, s.SSH(append(args, "pod", "tty; stty -a >/dev/null && echo terminal; exit 3")...))
		want(tb, fmt.Sprint(args, " status"), r.Code, 3)
		want(tb, "output: "+r.Stdout, strings.HasPrefix(r.Stdout, "/dev/pts/") && strings.HasSuffix(r.Stdout, "\r\nterminal\r\n"), true)
	}
}
