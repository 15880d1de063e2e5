package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceAlgorithms shows what is offered, and that it works.
func TestConformanceAlgorithms(t *testing.T) {
	conform(t, []row{
		{id: "J06", what: "strict key exchange", test: strictKex},
		{id: "J07", what: "no weak algorithms", test: noWeakAlgorithms, sshdFails: "OpenSSH 9.2 still offers SHA-1 MACs"},
		{id: "J08", what: "post-quantum key exchange", test: postQuantum},
		{id: "J09", what: "ed25519 host key", test: ed25519HostKey},
		{id: "J11", what: "each good cipher and MAC works", test: eachCipher},
		{id: "J10", what: "two servers have two host keys", test: twoHostKeys},
		{id: "J20", what: "a client that knows no ed25519 gets a key of the original server's type", test: oldHostKey},
		{id: "J13", what: "compression that is asked for is no obstacle", test: compression},
		{id: "J19", what: "a client with old ciphers only is told what does not match", test: oldCiphers},
	})
}

// verbose runs ssh -vv with a command that does nothing.
func verbose(tb testing.TB, s *sshkit.Server, args ...string) string {
	tb.Helper()
	cmd := s.SSH(append(append([]string{"-vv"}, args...), "pod", "true")...)
	r := sshkit.Run(tb, sshkit.Set(cmd, "LogLevel=DEBUG2"))
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

func postQuantum(tb testing.TB, s *sshkit.Server) {
	out := offers(verbose(tb, s))
	pq := strings.Contains(out, "mlkem768x25519-sha256") || strings.Contains(out, "sntrup761x25519")
	want(tb, "offered", pq, true)
}

func ed25519HostKey(tb testing.TB, s *sshkit.Server) {
	out := verbose(tb, s, "-o", "HostKeyAlgorithms=ssh-ed25519")
	want(tb, "taken", strings.Contains(out, "Server host key: ssh-ed25519"), true)
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

func scannedKey(tb testing.TB, s *sshkit.Server) string {
	tb.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	out, err := exec.Command("ssh-keyscan", "-t", "ed25519", "-T", "10", "-p", port, host).Output()
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
	r := sshkit.Run(tb, sshkit.Set(cmd, "LogLevel=INFO"))
	want(tb, "status", r.Code, 255)
	want(tb, "reason: "+r.Stderr, strings.Contains(r.Stderr, "no matching cipher found. Their offer: "), true)
}

func oldHostKey(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("it has an ed25519 key only, here")
	}
	key := func(s *sshkit.Server, types ...string) string {
		tb.Helper()
		conf, got := s.Config(tb), ""
		conf.HostKeyAlgorithms = types
		conf.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
			got = key.Type() + " " + ssh.FingerprintSHA256(key)
			return nil
		}
		c, err := ssh.Dial("tcp", s.Addr, conf)
		if err != nil {
			tb.Fatalf("%v: %v", types, err)
		}
		_ = c.Close()
		return got
	}
	old := key(s, "ecdsa-sha2-nistp256")
	want(tb, old, strings.HasPrefix(old, "ecdsa-sha2-nistp256 "), true)
	both := key(s, "ecdsa-sha2-nistp256", "ssh-ed25519")
	want(tb, "one that knows it but prefers the other: "+both, strings.HasPrefix(both, "ssh-ed25519 "), true)
	again := launchOurs(tb, s.Dir)
	want(tb, "after a restart", key(again, "ecdsa-sha2-nistp256"), old)
	want(tb, "of another environment differs", key(startOurs(tb), "ecdsa-sha2-nistp256") != old, true)
}
