// Package sshkit tests SSH servers with the clients that developers use: the
// system's OpenSSH programs, golang.org/x/crypto/ssh, and a client of its own
// that speaks single packets and records what comes back (see Raw).
package sshkit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a running SSH server.
type Server struct {
	// Addr is host:port.
	Addr string
	// Dir holds the server's and the clients' files: id is the private key
	// that may log in, other one that may not.
	Dir string
	// OpenSSH tells that this is the reference, not ours.
	OpenSSH bool
	// Process of the server.
	Process *os.Process
	// Log is where the server's messages go.
	Log string
}

// Keys makes the two key pairs and the file of authorized keys in dir.
func Keys(tb testing.TB, dir string) {
	tb.Helper()
	for _, name := range []string{"id", "other"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			tb.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	pub, err := os.ReadFile(filepath.Join(dir, "id.pub"))
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "authorized_keys"), pub, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// FreePort returns a TCP port that nobody listens on.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Await polls until ok or the time is over, which fails the test.
func Await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	if !AwaitFor(20*time.Second, ok) {
		tb.Fatalf("timed out waiting: %s", what)
	}
}

// AwaitFor polls until ok or d is over.
func AwaitFor(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// Launch starts cmd as the server on addr and waits until it answers.
func Launch(tb testing.TB, cmd *exec.Cmd, addr, dir string) *Server {
	tb.Helper()
	s := &Server{Addr: addr, Dir: dir, Log: filepath.Join(dir, "server.log")}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.Process = cmd.Process
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
			tb.Error("the server did not end within 15 s of SIGTERM")
		}
		if data, err := os.ReadFile(s.Log); err == nil && bytes.Contains(data, []byte("DATA RACE")) {
			tb.Errorf("race in the server:\n%s", data)
		}
	})
	Await(tb, "the server answers", func() bool {
		select {
		case <-exited:
			data, _ := os.ReadFile(s.Log)
			tb.Fatalf("the server ended: %s", data)
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		b := make([]byte, 4)
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("SSH-2.0-probe\r\n"))
		_, err = conn.Read(b)
		return err == nil
	})
	return s
}

// OpenSSHD starts the system's sshd with the reference configuration.
func OpenSSHD(tb testing.TB) *Server {
	tb.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; !fileExists(sshd) {
			tb.Skip("no sshd here")
		}
	}
	dir := tb.TempDir()
	Keys(tb, dir)
	host := filepath.Join(dir, "host")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host).CombinedOutput(); err != nil {
		tb.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	_ = os.MkdirAll("/run/sshd", 0o755) // its privilege separation needs it
	port := FreePort(tb)
	conf := fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %s
AuthorizedKeysFile %s/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv LANG LC_* TZ COLORTERM NO_COLOR
GatewayPorts clientspecified
AllowAgentForwarding yes
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
StreamLocalBindUnlink yes
PermitTunnel no
X11Forwarding no
PrintMotd no
PrintLastLog no
MaxSessions 1000
MaxStartups 1000
LoginGraceTime 10
ClientAliveInterval 15
Subsystem sftp internal-sftp
`, port, host, dir)
	file := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		tb.Fatal(err)
	}
	s := Launch(tb, exec.Command(sshd, "-D", "-e", "-f", file), net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir)
	s.OpenSSH = true
	return s
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// options for all programs of OpenSSH.
func (s *Server) options() []string {
	host, port, _ := net.SplitHostPort(s.Addr)
	return []string{
		"-F", "none", "-o", "HostName=" + host, "-o", "Port=" + port,
		"-o", "IdentityFile=" + filepath.Join(s.Dir, "id"), "-o", "IdentitiesOnly=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
	}
}

// SSH is the system's client. args are its further options, the host name
// "pod", and the command.
func (s *Server) SSH(args ...string) *exec.Cmd { return s.command("ssh", args...) }

// SFTP is the system's sftp client.
func (s *Server) SFTP(args ...string) *exec.Cmd { return s.command("sftp", args...) }

// SCP is the system's scp client.
func (s *Server) SCP(args ...string) *exec.Cmd { return s.command("scp", args...) }

// Set gives an option NAME=VALUE of an OpenSSH client another value than the
// harness does: of several, the client takes the first.
func Set(cmd *exec.Cmd, option string) *exec.Cmd {
	name, _, _ := strings.Cut(option, "=")
	for i, a := range cmd.Args {
		if strings.HasPrefix(a, name+"=") {
			cmd.Args[i] = option
			return cmd
		}
	}
	cmd.Args = slices.Insert(cmd.Args, 1, "-o", option)
	return cmd
}

// clientTime is longer than any client should need, and shorter than the test.
const clientTime = 3 * time.Minute

func (s *Server) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	cmd := exec.CommandContext(ctx, name, append(s.options(), args...)...)
	cmd.Cancel = func() error {
		cancel()
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=", "LANG=C.UTF-8")
	return cmd
}

// Shell quotes the client's command line for tools that start ssh themselves
// (rsync -e, GIT_SSH_COMMAND).
func (s *Server) Shell() string {
	words := append([]string{"ssh"}, s.options()...)
	return strings.Join(words, " ")
}

// Result of a finished client.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs cmd to its end.
func Run(tb testing.TB, cmd *exec.Cmd) Result {
	tb.Helper()
	var out, errb bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &errb
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		tb.Fatalf("%s: %v", cmd.Path, err)
	}
	return Result{out.String(), errb.String(), cmd.ProcessState.ExitCode()}
}

// Exec runs a command with the system's client and input.
func (s *Server) Exec(tb testing.TB, input, command string) Result {
	tb.Helper()
	cmd := s.SSH("pod", command)
	cmd.Stdin = strings.NewReader(input)
	return Run(tb, cmd)
}

// Signer reads a private key of the server's directory.
func (s *Server) Signer(tb testing.TB, name string) ssh.Signer {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// User is whom the clients log in as.
func (s *Server) User() string {
	if s.OpenSSH {
		return "root"
	}
	return "" // as the original CLI does
}

// Config is for a client of golang.org/x/crypto/ssh.
func (s *Server) Config(tb testing.TB) *ssh.ClientConfig {
	tb.Helper()
	return &ssh.ClientConfig{
		User:            s.User(),
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.Signer(tb, "id"))},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Timeout:         10 * time.Second,
	}
}

// Dial connects with golang.org/x/crypto/ssh.
func (s *Server) Dial(tb testing.TB) *ssh.Client {
	tb.Helper()
	c, err := ssh.Dial("tcp", s.Addr, s.Config(tb))
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}
