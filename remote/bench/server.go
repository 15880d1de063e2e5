package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"okteto/internal/testkit/proxy"
)

// server is one of the two that are compared.
type server struct {
	name, dir, user string
	port            int
	cmd             *exec.Cmd
}

func startServers(o options, dir string) (ours, ref *server, err error) {
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "id")).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	if o.server == "" {
		o.server = filepath.Join(dir, "program")
		build := exec.Command("go", "build", "-o", o.server, "./remote")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("build: %w: %s", err, out)
		}
	}
	if ours, err = startOurs("okteto-remote", o.server, dir); err != nil {
		return nil, nil, err
	}
	if o.reference != "" {
		ref, err = startOurs("reference", o.reference, dir)
	} else {
		ref, err = startSSHD(dir)
	}
	return ours, ref, err
}

func startOurs(name, program, dir string) (*server, error) {
	s, err := newServer(name, dir)
	if err != nil {
		return nil, err
	}
	return s, s.start(exec.Command(program, "--port", strconv.Itoa(s.port), "--authorized-keys", filepath.Join(dir, "id.pub"),
		"--host-key", s.path("host"), "--metrics-socket", s.path("m.sock"), "--agent-socket", s.path("agent.sock")))
}

func startSSHD(dir string) (*server, error) {
	s, err := newServer("sshd", dir)
	if err != nil {
		return nil, err
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	_ = os.MkdirAll("/run/sshd", 0o755)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("host")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	conf := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nMaxSessions 1000\nMaxStartups 1000\nPrintMotd no\nPrintLastLog no\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
		s.port, s.path("host"), filepath.Join(dir, "id.pub"))
	if err := os.WriteFile(s.path("sshd_config"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(exec.Command(sshd, "-D", "-f", s.path("sshd_config")))
}

func newServer(name, dir string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s := &server{name: name, dir: filepath.Join(dir, name), port: l.Addr().(*net.TCPAddr).Port, user: "root"}
	return s, os.Mkdir(s.dir, 0o700)
}

// roundTrip to a server that is far away.
const roundTrip = 50 * time.Millisecond

// farAway is the same server over a slow line.
func (s *server) farAway() (far *server, end func(), err error) {
	line, err := proxy.New(s.addr())
	if err != nil {
		return nil, nil, err
	}
	line.SetDelay(roundTrip / 2)
	_, port, err := net.SplitHostPort(line.Addr())
	if err != nil {
		return nil, nil, err
	}
	copied := *s
	copied.port, err = strconv.Atoi(port)
	return &copied, line.Close, err
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) start(cmd *exec.Cmd) error {
	s.cmd = cmd
	if err := cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		if conn, err := net.Dial("tcp", s.addr()); err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer", s.name)
}

func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
	}
}

// client prepares a program of OpenSSH.
func (s *server) client(name string, args ...string) *exec.Cmd {
	id := filepath.Join(filepath.Dir(s.dir), "id")
	return exec.Command(name, append([]string{
		"-F", "none", "-o", "HostName=127.0.0.1", "-o", "Port=" + strconv.Itoa(s.port), "-o", "User=" + s.user,
		"-o", "IdentityFile=" + id, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
	}, args...)...)
}

// memory of the server and its children for the connections: proportional set
// size, in MiB.
func (s *server) memory() float64 {
	total := 0
	for _, pid := range s.tree() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		_, after, _ := strings.Cut(string(data), "\nPss:")
		var n int
		_, _ = fmt.Sscan(after, &n)
		total += n
	}
	return float64(total) / 1024
}

// tree of the server's processes.
func (s *server) tree() []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		data, _ := os.ReadFile(f)
		_, after, _ := strings.Cut(string(data), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(after, &state, &parent); err == nil {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			children[parent] = append(children[parent], pid)
		}
	}
	pids := []int{s.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}
