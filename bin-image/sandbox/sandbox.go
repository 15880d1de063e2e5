// Package sandbox runs the agents in a container of namespaces, without a
// cluster, for tests: a root file system with nothing in it but what Kubernetes
// would mount, any uid, read-only or not, no capabilities, no network but
// loopback. It needs root.
//
// A test binary that uses it calls Init first thing in TestMain: the binary
// itself is what prepares the container, as runc does.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"okteto/bin-image/sockets"
)

// initVariable tells a re-executed test binary what to do.
const initVariable = "OKTETO_SANDBOX"

// Options of a container.
type Options struct {
	UID, GID int
	// Umask is 022 if zero.
	Umask int
	// ReadOnly root file system.
	ReadOnly bool
	// Tmp gives it a /tmp.
	Tmp bool
	// NotPID1 runs the command as a child of another process, as
	// shareProcessNamespace does.
	NotPID1 bool
	// Command is start.sh by default.
	Command []string
	// Args of the command.
	Args []string
	Env  []string
	// Secret is the content of /var/okteto/secret, SyncSecret that of
	// /var/syncthing/secret, by file name.
	Secret, SyncSecret map[string]string
	// Modes of files of Secret; 0644 otherwise.
	Modes map[string]os.FileMode
	// NoSyncSecret leaves /var/syncthing/secret out.
	NoSyncSecret bool
	// Volumes are host directories by path in the container. /var/syncthing and
	// /var/okteto/remote are empty file systems otherwise.
	Volumes map[string]string
	// Sizes limits a writable file system, in bytes, by path in the container.
	Sizes map[string]int64
	// Dirs are further writable directories.
	Dirs []string
	// Links are symbolic links in the root, by path.
	Links map[string]string
	// Bin is the directory with the agents; Agents by default.
	Bin string
	// Cgroup, if set, is a memory cgroup's directory to start in.
	Cgroup string

	// Stdout and stderr of the container, instead of Container.Log.
	Stdout *os.File `json:"-"`

	// Base is where the root file system is mounted.
	Base string
}

// Container that runs, or has ended.
type Container struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  buffer
	done chan struct{}
	opts Options
}

// Start runs a container until it ends or the test does.
func Start(t testing.TB, o Options) *Container {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	if o.Bin == "" {
		o.Bin = Agents(t)
	}
	if o.Umask == 0 {
		o.Umask = 0o022
	}
	o.Base = t.TempDir()
	config, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &Container{t: t, done: make(chan struct{}), opts: o}
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = []string{initVariable + "=" + string(config), "GORACE=atexit_sleep_ms=0"}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if o.Stdout != nil {
		c.cmd.Stdout, c.cmd.Stderr = o.Stdout, o.Stdout
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The thread must outlive the container, or it would be killed.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start container: %v", err)
	}
	t.Cleanup(func() {
		c.Stop()
		if t.Failed() {
			t.Logf("log of the container:\n%s", c.Log())
		}
	})
	return c
}

// Log is what the container has written so far.
func (c *Container) Log() string { return c.log.String() }

// PID of the container's first process, as seen from outside.
func (c *Container) PID() int { return c.cmd.Process.Pid }

// Path of a file in the container, as seen from outside.
func (c *Container) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(c.PID()), "root", path)
}

// Stop kills the container at once.
func (c *Container) Stop() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// Done is closed when the container has ended.
func (c *Container) Done() <-chan struct{} { return c.done }

// Wait for the end; it returns the exit code, 128 plus the number of a signal.
func (c *Container) Wait() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		c.t.Fatal("the container does not end")
	}
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// Signal to the first process.
func (c *Container) Signal(sig syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// Command to run in the container, as kubectl exec does.
func (c *Container) Command(args ...string) *exec.Cmd {
	enter := append([]string{
		"nsenter", "--target", strconv.Itoa(c.PID()), "--mount", "--pid", "--net", "--ipc", "--root", "--wd",
		"--setgid", strconv.Itoa(c.opts.GID), "--setuid", strconv.Itoa(c.opts.UID), "--",
	}, args...)
	if c.opts.Cgroup != "" {
		join := []string{"/bin/sh", "-c", `echo 0 >"$0/cgroup.procs"; exec "$@"`, c.opts.Cgroup}
		enter = append(join, enter...)
	}
	return exec.Command(enter[0], enter[1:]...)
}

// Exec runs a command in the container and returns its output.
func (c *Container) Exec(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := c.Command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Dial an address in the container's network.
func (c *Container) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := c.inNetwork(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Sockets of the container's network.
func (c *Container) Sockets(state sockets.State) []sockets.Socket {
	c.t.Helper()
	var all []sockets.Socket
	if err := c.inNetwork(func() (err error) {
		all, err = sockets.TCP(state)
		return err
	}); err != nil {
		c.t.Fatal(err)
	}
	return all
}

// inNetwork runs do with sockets of the container's network: they belong to the
// namespace of the thread that makes them. The thread ends with its goroutine,
// and nobody else gets it.
func (c *Container) inNetwork(do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.PID()))
		if err != nil {
			result <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- do()
	}()
	return <-result
}

// Get a page over HTTP from the container's network.
func (c *Container) Get(url string, header ...string) (status int, body string, err error) {
	transport := &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content), err
}

// Eventually asks until there is no error; the test fails if that takes too long.
func (c *Container) Eventually(what string, check func() error) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(45 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	c.t.Fatalf("not in time: %s: %v", what, err)
}

// ErrNotYet is for checks that have no better error.
var ErrNotYet = errors.New("not yet")

// buffer can be written and read at the same time.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
