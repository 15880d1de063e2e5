package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceAccess shows who gets in.
func TestConformanceAccess(t *testing.T) {
	conform(t, []row{
		{id: "J12", what: "RSA with SHA-2 and ECDSA client keys", test: clientKeys},
		{id: "K01", what: "a wrong key is refused", test: wrongKey},
		{id: "K02", what: "other methods than publickey are refused", test: otherMethods},
		{id: "K03", what: "without authorized keys the server does not start", test: failClosed},
		{id: "K04", what: "the right key as the fourth is accepted, as the thirtieth not", test: manyKeys},
		{id: "K06", what: "the user's name does not matter", test: anyUser, sshdFails: "it has users"},
		{id: "K07", what: "authorized keys are read anew", test: keysReread, own: true},
		{id: "K08", what: "a key with an option that is not implemented is refused", test: restrictedKey, sshdFails: "it implements the option"},
		{id: "K09", what: "half-open connections are dropped", test: halfOpen},
	})
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
	return sshkit.Run(tb, sshkit.Set(cmd, "IdentityFile="+file))
}

func clientKeys(tb testing.TB, s *sshkit.Server) {
	rsa := addKey(tb, s, "rsa", "-t", "rsa", "-b", "2048")
	for _, algo := range []string{"rsa-sha2-256", "rsa-sha2-512"} {
		want(tb, algo, withKey(tb, s, rsa, "-o", "PubkeyAcceptedAlgorithms="+algo).Stdout, "in\n")
	}
	want(tb, "ssh-rsa with SHA-1", withKey(tb, s, rsa, "-o", "PubkeyAcceptedAlgorithms=ssh-rsa").Stdout, "")
	want(tb, "ecdsa", withKey(tb, s, addKey(tb, s, "ecdsa", "-t", "ecdsa")).Stdout, "in\n")
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

func failClosed(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("the reference starts and lets nobody in")
	}
	dir := tb.TempDir()
	for _, content := range []string{"", "# none yet\n", "garbage\n", "restrict " + read(tb, filepath.Join(s.Dir, "id.pub"))} {
		file := filepath.Join(dir, "keys")
		if content != "" {
			write(tb, file, []byte(content))
		}
		port := strconv.Itoa(sshkit.FreePort(tb))
		code, _, errs := command([]string{
			"--port", port, "--authorized-keys", file, "--host-key", filepath.Join(dir, "host"), "--metrics-socket", "", "--agent-socket", "",
		}, nil)
		want(tb, fmt.Sprintf("%q: status", content), code, exitFailure)
		want(tb, "message: "+errs, strings.Contains(errs, "refusing to start") && strings.Contains(errs, file), true)
	}
}

func anyUser(tb testing.TB, s *sshkit.Server) {
	for _, user := range []string{"root", "developer", "no-such-user", "ümläut"} {
		want(tb, user, sshkit.Run(tb, s.SSH("-o", "User="+user, "pod", "echo in")).Stdout, "in\n")
	}
}

func restrictedKey(tb testing.TB, s *sshkit.Server) {
	appendKey(tb, s, `command="echo forced" `+read(tb, filepath.Join(s.Dir, "other.pub")))
	want(tb, "status", withKey(tb, s, filepath.Join(s.Dir, "other")).Code, 255)
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
		s = startOurs(tb, "--handshake-timeout=1s")
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
