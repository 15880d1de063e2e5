package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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
		{id: "J04", what: "sessions and forwards that start while keys are exchanged", test: rekeyingBusy},
		{id: "J14", what: "an idle connection is probed by TCP", test: tcpKeepalive},
		{id: "J15", what: "a stopped client is noticed", test: stoppedClient},
		{id: "J16", what: "the host key is announced and proven", test: hostKeyProof},
		{id: "J17", what: "a client that keeps host keys learns nothing wrong", test: hostKeyUpdate},
		{id: "J18", what: "nothing before the version line", test: versionFirst},
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

// rekeyingBusy exchanges keys after each mebibyte, and each second.
func rekeyingBusy(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	addr := fmt.Sprintf("127.0.0.1:%d", sshkit.FreePort(tb))
	ctl := sharedConnection(tb, s, "-o", "RekeyLimit=1M 1s", "-L", addr+":"+l.Addr().String())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 4 {
				r := sshkit.Run(tb, s.SSH("-S", ctl, "pod", fmt.Sprintf("head -c 1500000 /dev/zero; exit %d", i)))
				if len(r.Stdout) != 1_500_000 || r.Code != i {
					tb.Errorf("%d bytes, status %d: %s", len(r.Stdout), r.Code, r.Stderr)
				}
			}
		}()
		conn := dialSoon(tb, "tcp", addr)
		go func() {
			defer wg.Done()
			if err := roundTrip(conn, noise(3<<20+i)); err != nil {
				tb.Error(err)
			}
		}()
	}
	wg.Wait()
}

// tcpKeepalive looks into the kernel's table for the timer of the server's end.
func tcpKeepalive(tb testing.TB, s *sshkit.Server) {
	conn := s.RawDial(tb).Conn
	port := func(a net.Addr) string { return fmt.Sprintf("0100007F:%04X", a.(*net.TCPAddr).Port) }
	const keepaliveTimer = "02" // proc_net_tcp.txt of the kernel's documentation
	timer := func() string {
		for _, line := range strings.Split(read(tb, "/proc/net/tcp"), "\n") {
			f := strings.Fields(line)
			if len(f) > 5 && f[1] == port(conn.RemoteAddr()) && f[2] == port(conn.LocalAddr()) {
				return f[5][:2]
			}
		}
		return "none"
	}
	sshkit.Await(tb, "the timer is the one of keepalives", func() bool { return timer() == keepaliveTimer })
}

func stoppedClient(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("its shortest time to notice is as long as all other tests")
	}
	s = startOurs(tb, "--keepalive-interval=500ms")
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("pod", "sleep "+m)
	background(tb, cmd)
	sshkit.Await(tb, "it runs", func() bool { return alive(m) })
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	sshkit.Await(tb, "its command ends", func() bool { return !alive(m) })
	want(tb, "counted", metric(tb, s, "okteto_remote_dead_peers_total"), "1")
}

// hostKeyProof: OpenSSH PROTOCOL section 2.5.
func hostKeyProof(tb testing.TB, s *sshkit.Server) {
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	var key ssh.PublicKey
	conf := s.Config(tb)
	conf.HostKeyCallback = func(_ string, _ net.Addr, k ssh.PublicKey) error {
		key = k
		return nil
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, s.Addr, conf)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	go func() {
		for nc := range chans {
			_ = nc.Reject(ssh.Prohibited, "")
		}
	}()
	blob := func(k ssh.PublicKey) []byte { return ssh.Marshal(struct{ K []byte }{k.Marshal()}) }
	req := <-reqs
	go ssh.DiscardRequests(reqs)
	want(tb, "announcement", req.Type, "hostkeys-00@openssh.com")
	want(tb, "announced", string(req.Payload), string(blob(key)))

	const prove = "hostkeys-prove-00@openssh.com"
	ok, payload, err := c.SendRequest(prove, true, blob(key))
	var proof struct{ Sig []byte }
	var sig ssh.Signature
	if err != nil || !ok || ssh.Unmarshal(payload, &proof) != nil || ssh.Unmarshal(proof.Sig, &sig) != nil {
		tb.Fatalf("proof: %v %q %v", ok, payload, err)
	}
	signed := ssh.Marshal(struct {
		Request      string
		Session, Key []byte
	}{prove, c.SessionID(), key.Marshal()})
	want(tb, "signature", key.Verify(signed, &sig), error(nil))
	other := s.Signer(tb, "other").PublicKey()
	for _, payload := range [][]byte{blob(other), append(blob(key), blob(other)...), {0, 0}} {
		ok, _, err := c.SendRequest(prove, true, payload)
		want(tb, "proof of a foreign key", fmt.Sprint(ok, err), "false <nil>")
	}
}

func hostKeyUpdate(tb testing.TB, s *sshkit.Server) {
	host, port, _ := net.SplitHostPort(s.Addr)
	line := func(key string) string { return fmt.Sprintf("[%s]:%s %s\n", host, port, key) }
	pinned := line("ssh-ed25519 " + scannedKey(tb, s))
	stale := line(strings.TrimSpace(read(tb, filepath.Join(s.Dir, "other.pub"))))
	file := filepath.Join(tb.TempDir(), "known")
	for content, after := range map[string]string{pinned: pinned, pinned + stale: pinned} {
		write(tb, file, []byte(content))
		cmd := s.SSH("-o", "UpdateHostKeys=yes", "pod", "echo in")
		for _, o := range []string{"UserKnownHostsFile=" + file, "StrictHostKeyChecking=yes", "LogLevel=INFO"} {
			sshkit.Set(cmd, o)
		}
		r := sshkit.Run(tb, cmd)
		want(tb, "stdout", r.Stdout, "in\n")
		want(tb, "stderr", r.Stderr, "")
		want(tb, "known hosts", read(tb, file), after)
	}
}
