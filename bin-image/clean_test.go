package binimage_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/bin-image/original"
	"okteto/bin-image/process"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// connect logs in as the original CLI does: no user name, any host key.
func connect(t *testing.T, c *sandbox.Container, key identity.UserKey) *ssh.Client {
	t.Helper()
	conn, err := c.Dial(t.Context(), "tcp", "127.0.0.1:2222")
	if err != nil {
		t.Fatal(err)
	}
	client, chans, reqs, err := ssh.NewClientConn(conn, "127.0.0.1:2222", &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ssh.NewClient(client, chans, reqs)
}

// busybox is how a script in an empty image calls its tools.
const busybox = contract.Busybox

// background starts a command that outlives its session and notes its pid.
func background(t *testing.T, client *ssh.Client, name, command string) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	script := fmt.Sprintf("%s setsid %s sh -c 'echo $$ >/src/%s.pid; %s' </dev/null >/dev/null 2>&1 &", busybox, busybox, name, command)
	if out, err := session.CombinedOutput(script); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// persistent starts a command in a terminal that the SSH server keeps when the
// connection is lost.
func persistent(t *testing.T, client *ssh.Client, name, command string) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Setenv(contract.EnvTerminal, name); err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := session.Start(fmt.Sprintf("echo $$ >/src/%s.pid; %s", name, command)); err != nil {
		t.Fatal(err)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	o.UID, o.GID, o.ReadOnly, o.NotPID1 = 12345, 12345, true, true
	o.Links = map[string]string{"/home/.vscode-server/bin/sleep": busybox}
	c := sandbox.Start(t, o)
	ready(c)

	old := connect(t, c, key)
	const forever = "exec " + busybox + " sleep 1000"
	background(t, old, "command", forever)
	background(t, old, "stubborn", `trap "" TERM HUP; while :; do `+busybox+" sleep 0.1; done")
	background(t, old, "ide", "exec /home/.vscode-server/bin/sleep 1000")
	background(t, old, "tmux", busybox+" cp "+busybox+" /src/tmux; exec -a sleep /src/tmux 1000")
	persistent(t, old, "terminal", forever)
	c.Eventually("the terminal runs", func() error { _, err := os.Stat(c.Path("/src/terminal.pid")); return err })
	old.Close()
	live := connect(t, c, key)
	defer live.Close()
	background(t, live, "other-window", forever)
	session, err := live.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("echo $$ >/src/session.pid; " + forever); err != nil {
		t.Fatal(err)
	}
	sidecar := outsiders(t, c)
	names := []string{"command", "stubborn", "ide", "tmux", "terminal", "other-window", "session", "k8s-exec"}
	for _, name := range names {
		c.Eventually(name+" runs", func() error {
			if !alive(t, c, name) {
				return sandbox.ErrNotYet
			}
			return nil
		})
	}

	begin := time.Now()
	if out, err := c.Exec(contract.CleanBinary); err != nil || out != "" {
		t.Errorf("clean: %q, %v", out, err)
	}
	t.Logf("clean took %s", time.Since(begin).Round(time.Millisecond))
	want := map[string]bool{
		"command": false, "stubborn": false, "k8s-exec": false,
		"ide": true, "tmux": true, "terminal": true, "other-window": true, "session": true,
	}
	for _, name := range names {
		if got := alive(t, c, name); got != want[name] {
			t.Errorf("%s alive: %v, want %v", name, got, want[name])
		}
	}
	if err := sidecar.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another container's process was ended: %v", err)
	}
	ready(c)
	if m := metricsOf(t, c); m[`okteto_service_restarts_total{service="okteto-remote"}`] != 0 {
		t.Error("the SSH server was ended")
	}

	// Once the other window is closed, what it left is left over too.
	live.Close()
	c.Eventually("the rest is cleaned", func() error {
		if _, err := c.Exec(contract.CleanBinary); err != nil {
			return err
		}
		if alive(t, c, "other-window") {
			return sandbox.ErrNotYet
		}
		return nil
	})
}

// TestCleanElsewhere: where no supervisor runs nothing is left over from an `up`, and
// with an argument nothing is asked for.
func TestCleanElsewhere(t *testing.T) {
	t.Parallel()
	start := "echo up; trap 'exit 3' TERM; while :; do " + busybox + " sleep 0.05; done"
	c := sandbox.Start(t, sandbox.Options{
		UID: 12345, GID: 12345, NotPID1: true, Dirs: []string{"/src"}, Command: []string{busybox, "sh", "-c", start},
	})
	logs(t, c, "up")
	out, err := c.Command(contract.CleanBinary).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "this is no dev container") {
		t.Errorf("clean: %q, %v", out, err)
	}
	for _, argument := range []string{"--help", "-h", "--version", "x"} {
		out, err := c.Command(contract.CleanBinary, argument).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "usage: clean") {
			t.Errorf("clean %s: %q, %v", argument, out, err)
		}
	}
	select {
	case <-c.Done():
		t.Error("it ended what is not its business")
	default:
	}
	if table, err := process.Snapshot(); err != nil || len(table.Descendants(c.PID())) == 0 {
		t.Errorf("the program is gone: %v", err)
	}
}

// outsiders are processes that come from no SSH session: one that `up` started by
// the Kubernetes exec API, and one of another container, which is returned.
func outsiders(t *testing.T, c *sandbox.Container) (sidecar *exec.Cmd) {
	t.Helper()
	// As `up` with OKTETO_EXECUTE_SSH=false does.
	k8sExec := c.Command(busybox, "sh", "-c", "echo $$ >/src/k8s-exec.pid; "+"exec "+busybox+" sleep 1000")
	// As a sidecar in the same process namespace: other files, same pids.
	sidecar = exec.Command("nsenter", "--target", strconv.Itoa(c.PID()), "--pid", "--setgid", "12345", "--setuid", "12345", "--", "sleep", "1000")
	for _, cmd := range []*exec.Cmd{k8sExec, sidecar} {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		})
	}
	return sidecar
}

// alive says whether the process with that pid file runs in the container.
func alive(t *testing.T, c *sandbox.Container, name string) bool {
	t.Helper()
	pid, err := os.ReadFile(c.Path("/src/" + name + ".pid"))
	if err != nil || strings.TrimSpace(string(pid)) == "" {
		return false
	}
	out, err := c.Exec(busybox, "sh", "-c", fmt.Sprintf("%s cat /proc/%s/stat 2>/dev/null; :", busybox, strings.TrimSpace(string(pid))))
	if err != nil {
		t.Fatal(err)
	}
	return out != "" && !strings.Contains(out, ") Z ")
}
