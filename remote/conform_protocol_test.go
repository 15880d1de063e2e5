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
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/testkit/sshkit"
)

func TestConformanceProtocol(t *testing.T) {
	conform(t, []row{
		{id: "J01", what: "client keepalives keep an idle connection", test: clientKeepalive},
		{id: "J02", what: "global requests are answered, also the original CLI's", test: globalRequests},
		{id: "J03", what: "rekeying in big transfers", test: rekeying},
		{id: "J06", what: "strict key exchange", test: strictKex},
		{id: "J07", what: "no weak algorithms", test: noWeakAlgorithms, sshdFails: "OpenSSH 9.2 still offers SHA-1 MACs"},
		{id: "J08", what: "post-quantum key exchange and an ed25519 host key", test: modernAlgorithms},
		{id: "J11", what: "each good cipher and MAC works", test: eachCipher},
		{id: "J12", what: "RSA with SHA-2 and ECDSA client keys", test: clientKeys},
		{id: "J18", what: "nothing before the version line", test: versionFirst},
		{id: "K01", what: "a wrong key is refused", test: wrongKey},
		{id: "K02", what: "other methods than publickey are refused", test: otherMethods},
		{id: "K04", what: "the right key as the fourth is accepted, as the thirtieth not", test: manyKeys},
		{id: "K07", what: "authorized keys are read anew", test: keysReread, own: true},
		{id: "K09", what: "half-open connections are dropped", test: halfOpen},
		{id: "G01", what: "20 parallel sessions on one connection", test: multiplexed},
		{id: "M01", what: "an editor's bootstrap: script on stdin, SOCKS meanwhile", test: editorBootstrap},
	})
}

func clientKeepalive(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2", "pod", "sleep 4; echo lives")
	want(tb, "output", sshkit.Run(tb, cmd).Stdout, "lives\n")
}

func globalRequests(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, name := range []string{
		contract.PingRequest, contract.KeepaliveRequest, "keepalive@openssh.com", "no-such-request",
		"hostkeys-prove-00@openssh.com", "tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com",
	} {
		if s.OpenSSH && strings.Contains(name, "forward") {
			continue // a malformed one ends the connection there
		}
		done := make(chan error, 1)
		go func() {
			_, _, err := c.SendRequest(name, true, []byte("pong"))
			done <- err
		}()
		select {
		case err := <-done:
			want(tb, name, err, error(nil))
		case <-time.After(10 * time.Second):
			tb.Fatalf("%s is not answered", name)
		}
	}
}

func rekeying(tb testing.TB, s *sshkit.Server) {
	n := scale(100<<20, 10<<20)
	for _, cipher := range []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"} {
		opts := []string{"-c", cipher, "-o", "RekeyLimit=1M", "pod"}
		r := sshkit.Run(tb, s.SSH(append(opts, fmt.Sprintf("head -c %d /dev/zero", n))...))
		want(tb, "down", len(r.Stdout), n)
		cmd := s.SSH(append(opts, "wc -c")...)
		cmd.Stdin = io.LimitReader(zeros{}, int64(n))
		want(tb, "up", strings.TrimSpace(sshkit.Run(tb, cmd).Stdout), fmt.Sprint(n))
		cmd = s.SSH(append(opts, "cat")...)
		cmd.Stdin = io.LimitReader(zeros{}, int64(n))
		want(tb, "both", len(sshkit.Run(tb, cmd).Stdout), n)
	}
}

// verbose runs ssh -vv with a command that does nothing.
func verbose(tb testing.TB, s *sshkit.Server, args ...string) string {
	tb.Helper()
	cmd := s.SSH(append(append([]string{"-vv"}, args...), "pod", "true")...)
	// The first value given counts: the harness asks for errors only.
	for i, a := range cmd.Args {
		if a == "LogLevel=ERROR" {
			cmd.Args[i] = "LogLevel=DEBUG2"
		}
	}
	r := sshkit.Run(tb, cmd)
	want(tb, "status", r.Code, 0)
	return r.Stderr
}

func strictKex(tb testing.TB, s *sshkit.Server) {
	out := verbose(tb, s)
	want(tb, "offered", strings.Contains(out, "kex-strict-s-v00@openssh.com"), true)
}

// offers returns the server's proposal by kind, of ssh -vv's log.
func offers(out string) string {
	_, after, _ := strings.Cut(out, "peer server KEXINIT proposal")
	before, _, _ := strings.Cut(after, "debug1: kex: algorithm")
	return before
}

func noWeakAlgorithms(tb testing.TB, s *sshkit.Server) {
	weak := regexp.MustCompile(`[a-z0-9@.-]*(sha1|-cbc|3des|arcfour|umac-64|ssh-dss|md5|group1-)[a-z0-9@.-]*|ssh-rsa[, \n]`)
	for _, args := range [][]string{nil, {"-c", "chacha20-poly1305@openssh.com"}} {
		if m := weak.FindAllString(offers(verbose(tb, s, args...)), -1); m != nil {
			tb.Errorf("offered: %v", m)
		}
	}
}

func modernAlgorithms(tb testing.TB, s *sshkit.Server) {
	out := offers(verbose(tb, s))
	pq := strings.Contains(out, "mlkem768x25519-sha256") || strings.Contains(out, "sntrup761x25519")
	want(tb, "post-quantum", pq, true)
	want(tb, "ed25519", strings.Contains(verbose(tb, s, "-o", "HostKeyAlgorithms=ssh-ed25519"), "Server host key: ssh-ed25519"), true)
}

func eachCipher(tb testing.TB, s *sshkit.Server) {
	run := func(args ...string) {
		tb.Helper()
		cmd := s.SSH(append(args, "pod", "head -c 100000")...)
		cmd.Stdin = io.LimitReader(zeros{}, 100000)
		want(tb, fmt.Sprint(args), len(sshkit.Run(tb, cmd).Stdout), 100000)
	}
	for _, c := range []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"} {
		run("-c", c)
	}
	for _, m := range []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"} {
		run("-c", "aes128-ctr", "-m", m)
	}
	for _, k := range []string{"curve25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp521"} {
		run("-o", "KexAlgorithms="+k)
	}
}

// addKey makes another key pair of a kind and authorizes it.
func addKey(tb testing.TB, s *sshkit.Server, name string, args ...string) string {
	tb.Helper()
	file := filepath.Join(s.Dir, name)
	out, err := exec.Command("ssh-keygen", append([]string{"-q", "-N", "", "-f", file}, args...)...).CombinedOutput()
	if err != nil {
		tb.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	appendKey(tb, s, read(tb, file+".pub"))
	return file
}

func appendKey(tb testing.TB, s *sshkit.Server, line string) {
	tb.Helper()
	f, err := os.OpenFile(filepath.Join(s.Dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		tb.Fatal(err)
	}
}

// withKey runs a command with another private key.
func withKey(tb testing.TB, s *sshkit.Server, file string, args ...string) sshkit.Result {
	tb.Helper()
	cmd := s.SSH(append(args, "pod", "echo in")...)
	for i, a := range cmd.Args {
		if strings.HasPrefix(a, "IdentityFile=") {
			cmd.Args[i] = "IdentityFile=" + file
		}
	}
	return sshkit.Run(tb, cmd)
}

func clientKeys(tb testing.TB, s *sshkit.Server) {
	rsa := addKey(tb, s, "rsa", "-t", "rsa", "-b", "2048")
	for _, algo := range []string{"rsa-sha2-256", "rsa-sha2-512"} {
		want(tb, algo, withKey(tb, s, rsa, "-o", "PubkeyAcceptedAlgorithms="+algo).Stdout, "in\n")
	}
	want(tb, "ssh-rsa with SHA-1", withKey(tb, s, rsa, "-o", "PubkeyAcceptedAlgorithms=ssh-rsa").Stdout, "")
	want(tb, "ecdsa", withKey(tb, s, addKey(tb, s, "ecdsa", "-t", "ecdsa")).Stdout, "in\n")
}

func versionFirst(tb testing.TB, s *sshkit.Server) {
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 8)
	_, _ = io.ReadFull(conn, b) // before we have said a word
	want(tb, "first bytes", string(b), "SSH-2.0-")
}

func wrongKey(tb testing.TB, s *sshkit.Server) {
	want(tb, "status", withKey(tb, s, filepath.Join(s.Dir, "other")).Code, 255)
}

func otherMethods(tb testing.TB, s *sshkit.Server) {
	tried := false
	for name, auth := range map[string]ssh.AuthMethod{
		"none":     nil,
		"password": ssh.PasswordCallback(func() (string, error) { tried = true; return "", nil }),
		"keyboard-interactive": ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) {
			tried = true
			return nil, nil
		}),
	} {
		conf := s.Config(tb)
		conf.Auth = nil
		if auth != nil {
			conf.Auth = []ssh.AuthMethod{auth}
		}
		c, err := ssh.Dial("tcp", s.Addr, conf)
		if err == nil {
			_ = c.Close()
		}
		want(tb, name+" gets in", err == nil, false)
	}
	want(tb, "other methods offered", tried, false)
}

func manyKeys(tb testing.TB, s *sshkit.Server) {
	login := func(position int) error {
		conf := s.Config(tb)
		var keys []ssh.Signer
		for range position - 1 {
			signer, err := ssh.NewSignerFromKey(newKey(tb))
			if err != nil {
				tb.Fatal(err)
			}
			keys = append(keys, signer)
		}
		conf.Auth = []ssh.AuthMethod{ssh.PublicKeys(append(keys, s.Signer(tb, "id"))...)}
		c, err := ssh.Dial("tcp", s.Addr, conf)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	want(tb, "fourth", login(4), error(nil))
	want(tb, "thirtieth gets in", login(30) == nil, false)
}

func keysReread(tb testing.TB, s *sshkit.Server) {
	file := filepath.Join(s.Dir, "authorized_keys")
	other := filepath.Join(s.Dir, "other")
	want(tb, "before", withKey(tb, s, other).Code, 255)
	appendKey(tb, s, read(tb, other+".pub"))
	want(tb, "after", withKey(tb, s, other).Stdout, "in\n")
	write(tb, file, []byte(read(tb, filepath.Join(s.Dir, "id.pub"))))
	want(tb, "after removal", withKey(tb, s, other).Code, 255)
	_ = os.Remove(file)
	want(tb, "without the file", s.Exec(tb, "", "echo in").Code, 255)
}

func halfOpen(tb testing.TB, s *sshkit.Server) {
	if !full() && !s.OpenSSH {
		s = startOurs(tb.(*testing.T), "--handshake-timeout=1s")
	}
	for _, say := range []string{"", "SSH-2.0-slow\r\n"} {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			tb.Fatal(err)
		}
		_, _ = io.WriteString(conn, say)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err = io.Copy(io.Discard, conn); os.IsTimeout(err) {
			tb.Errorf("after %q the connection stays open", say)
		}
		_ = conn.Close()
	}
}

func multiplexed(tb testing.TB, s *sshkit.Server) {
	ctl := filepath.Join(tb.TempDir(), "ctl")
	background(tb, s.SSH("-N", "-M", "-S", ctl, "pod"))
	sshkit.Await(tb, "the master runs", func() bool { _, err := os.Stat(ctl); return err == nil })
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
	_, _ = io.WriteString(in, "exit 3\n")
	_ = cmd.Wait()
	want(tb, "status", cmd.ProcessState.ExitCode(), 3)
	want(tb, "editor's server alive", alive(m), true)
}
