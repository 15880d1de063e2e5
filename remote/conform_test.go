package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"okteto/internal/goenv"
	"okteto/internal/testkit/sshkit"
)

// The conformance tests run against this program, started as a process of its
// own, or with OKTETO_CONFORMANCE_SERVER=sshd against OpenSSH's server: what
// the reference fails there, and is not marked so, is a fault of the test.

// serverEnv makes the test binary run as the program.
const serverEnv = "OKTETO_REMOTE_TEST_MAIN"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "scp" {
		main()
	}
	if os.Getenv(serverEnv) != "" {
		goenv.Shed()
		_ = os.Unsetenv(serverEnv)
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		code := run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	code := m.Run()
	_ = os.Remove(staticPath())
	os.Exit(code)
}

// againstSSHD tells which server the suite runs against.
func againstSSHD() bool { return os.Getenv("OKTETO_CONFORMANCE_SERVER") == "sshd" }

// full asks for the full size of the biggest loops.
func full() bool { return os.Getenv("OKTETO_TEST_FULL") != "" }

// scale is n in a full run, else less.
func scale(n, less int) int {
	if full() {
		return n
	}
	return less
}

// startOurs starts this program with further flags, and variables NAME=value.
func startOurs(tb testing.TB, flags ...string) *sshkit.Server {
	tb.Helper()
	dir := tb.TempDir()
	sshkit.Keys(tb, dir)
	return launchOurs(tb, dir, flags...)
}

func launchOurs(tb testing.TB, dir string, flags ...string) *sshkit.Server {
	tb.Helper()
	cmd, addr := ourProgram(tb, dir, flags...)
	return sshkit.Launch(tb, cmd, addr, dir)
}

// ourProgram is the command that runs this program on a free port.
func ourProgram(tb testing.TB, dir string, flags ...string) (cmd *exec.Cmd, addr string) {
	tb.Helper()
	port := sshkit.FreePort(tb)
	args := []string{
		"--port", strconv.Itoa(port), "--authorized-keys", filepath.Join(dir, "authorized_keys"),
		"--host-key", filepath.Join(dir, "state", "host_key"), "--metrics-socket", filepath.Join(dir, "m.sock"),
		"--agent-socket", filepath.Join(dir, "agent.sock"),
	}
	var env []string
	for _, f := range flags {
		if strings.HasPrefix(f, "-") {
			args = append(args, f)
		} else {
			env = append(env, f)
		}
	}
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), serverEnv+"=1", "OKTETO_POD_VARIABLE=from the pod"), env...)
	return cmd, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// start starts the server under test with default options.
func start(tb testing.TB) *sshkit.Server {
	tb.Helper()
	if againstSSHD() {
		return sshkit.OpenSSHD(tb)
	}
	return startOurs(tb)
}

// oursOnly skips what the reference has no word for.
func oursOnly(tb testing.TB) {
	tb.Helper()
	if againstSSHD() {
		tb.Skip("the reference has no such thing")
	}
}

// row is one case of the suite.
type row struct {
	id   string
	what string
	test func(testing.TB, *sshkit.Server)
	// sshdFails says why the reference fails the case.
	sshdFails string
	// own starts a server for the case alone.
	own bool
}

// conform runs the rows against one server.
func conform(t *testing.T, rows []row) {
	s := start(t)
	for _, r := range rows {
		t.Run(r.id+" "+r.what, func(t *testing.T) {
			target := s
			if r.own {
				target = start(t)
			}
			if r.sshdFails == "" || !againstSSHD() {
				r.test(t, target)
				return
			}
			if x := expectFailure(t, func(tb testing.TB) { r.test(tb, target) }); !x.failed {
				t.Errorf("the reference passes, though it is said to fail: %s", r.sshdFails)
			}
		})
	}
}

// failing records failures instead of reporting them.
type failing struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func expectFailure(t *testing.T, f func(testing.TB)) *failing {
	x := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(x)
	}()
	<-done
	return x
}

func (x *failing) note(s string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failed = true
	x.TB.Log("expected:", s)
}

func (x *failing) Error(args ...any)            { x.note(fmt.Sprint(args...)) }
func (x *failing) Errorf(f string, args ...any) { x.note(fmt.Sprintf(f, args...)) }
func (x *failing) Fatal(args ...any)            { x.note(fmt.Sprint(args...)); runtime.Goexit() }
func (x *failing) Fatalf(f string, args ...any) { x.note(fmt.Sprintf(f, args...)); runtime.Goexit() }
func (x *failing) Fail()                        { x.note("failed") }
func (x *failing) FailNow()                     { x.note("failed"); runtime.Goexit() }

// want compares a result's parts that are given.
func want(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, clip(got), clip(want))
	}
}

func clip(v any) string {
	s := fmt.Sprintf("%q", fmt.Sprint(v))
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}

// pids returns the processes with exactly this command line.
func pids(command string) []int {
	var found []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		data, err := os.ReadFile(d + "/cmdline")
		if err == nil && strings.ReplaceAll(strings.TrimRight(string(data), "\x00"), "\x00", " ") == command {
			pid, _ := strconv.Atoi(filepath.Base(d))
			found = append(found, pid)
		}
	}
	return found
}

// mark is an odd number of seconds by which a test's sleep is found again.
var mark = func() func() string {
	n := os.Getpid() * 100
	var mu sync.Mutex
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("3600.%08d", n)
	}
}()

func alive(text string) bool { return len(pids("sleep "+text)) > 0 }
