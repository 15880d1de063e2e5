package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// The reaper reaps for the whole process, so each test runs in a process of its
// own, where nothing else waits.
const roleVariable = "CHILD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); {
	case role == "":
		os.Exit(m.Run())
	case strings.HasPrefix(role, "exit-"):
		code, _ := strconv.Atoi(strings.TrimPrefix(role, "exit-"))
		os.Exit(code)
	case role == "sleep", role == "hang":
		time.Sleep(time.Minute)
	case role == "orphans":
		// Leaves processes behind, some of which end before it and some after.
		for i := range 5 {
			p := exec.Command("/proc/self/exe")
			p.Env = []string{roleVariable + "=exit-" + strconv.Itoa(i)}
			_ = p.Start()
		}
		os.Exit(7)
	default:
		if err := subjects[role](); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// subjects are the bodies of the tests below.
var subjects = map[string]func() error{
	"stress": stress, "signals": signals, "group": group, "parent": parent, "failures": failures,
}

func runSubject(t *testing.T, role string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func spec(role string) Spec {
	return Spec{Path: "/proc/self/exe", Env: []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"}, Stderr: os.Stderr}
}

// TestNoExitStateIsLost starts services while orphans end at the same time
// (the fault of ramr/go-reaper#2 and coder/coder#22866).
func TestNoExitStateIsLost(t *testing.T) { runSubject(t, "stress") }

func stress() error {
	r, err := NewReaper()
	if err != nil {
		return err
	}
	defer r.Close()
	const services, parents, orphansEach = 500, 100, 5
	errs := make(chan error, services+parents)
	var running sync.WaitGroup
	limit := make(chan struct{}, 16)
	start := func(role string, want int) {
		running.Add(1)
		limit <- struct{}{}
		go func() {
			defer running.Done()
			defer func() { <-limit }()
			p, err := r.Start(spec(role))
			if err != nil {
				errs <- err
				return
			}
			if got := p.Exit(); got.Code != want || got.Signal != 0 {
				errs <- fmt.Errorf("%s: %s", role, got)
			}
		}()
	}
	for i := range services {
		start("exit-"+strconv.Itoa(i%250), i%250)
		if i%(services/parents) == 0 {
			start("orphans", 7)
		}
	}
	running.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return eventually(func() error {
		if got := r.Orphans(); got != parents*orphansEach {
			return fmt.Errorf("reaped %d orphans, want %d", got, parents*orphansEach)
		}
		return noZombies()
	})
}

func noZombies() error {
	all, err := procfs.AllProcs()
	if err != nil {
		return err
	}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil && stat.PPID == os.Getpid() {
			return fmt.Errorf("child %d is left in state %s", p.PID, stat.State)
		}
	}
	return nil
}

func TestSignalsAreTold(t *testing.T) { runSubject(t, "signals") }

func signals() error {
	r, err := NewReaper()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		s := spec("sleep")
		s.Stderr = nil
		p, err := r.Start(s)
		if err != nil {
			return err
		}
		if err := p.Signal(sig); err != nil {
			return err
		}
		if got := p.Exit(); got.Signal != sig || got.Code != -1 || got.String() != "signal "+unix.SignalName(sig) {
			return fmt.Errorf("after %v: %+v", sig, got)
		}
		// A signal to what is gone hits nobody and is no error.
		if err := p.Signal(sig); err != nil {
			return err
		}
	}
	return nil
}

// TestGroupEndsWithItsLeader: what a child leaves in its process group would
// keep its ports.
func TestGroupEndsWithItsLeader(t *testing.T) { runSubject(t, "group") }

func group() error {
	r, err := NewReaper()
	if err != nil {
		return err
	}
	defer r.Close()
	s := Spec{Path: "/bin/sh", Args: []string{"-c", "sleep 60 & exit 4"}, Env: os.Environ()}
	p, err := r.Start(s)
	if err != nil {
		return err
	}
	if got := p.Exit(); got.Code != 4 {
		return fmt.Errorf("leader: %s", got)
	}
	return eventually(func() error {
		if err := syscall.Kill(-p.PID, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process group %d is still there", p.PID)
		}
		return noZombies()
	})
}

// TestChildrenDieWithTheSupervisor also where it is not PID 1 and is killed.
func TestChildrenDieWithTheSupervisor(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := eventually(func() error {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return nil
		}
		stat, err := p.Stat()
		if err != nil || stat.State == "Z" {
			return nil
		}
		return fmt.Errorf("child %d outlives its killed parent", pid)
	}); err != nil {
		t.Fatal(err)
	}
}

func parent() error {
	r, err := NewReaper()
	if err != nil {
		return err
	}
	p, err := r.Start(spec("hang"))
	if err != nil {
		return err
	}
	// The thread that a goroutine happens to run on must not matter.
	time.Sleep(50 * time.Millisecond)
	fmt.Println(p.PID)
	time.Sleep(time.Hour)
	return nil
}

func TestStartFailures(t *testing.T) { runSubject(t, "failures") }

func failures() error {
	r, err := NewReaper()
	if err != nil {
		return err
	}
	for range 50 {
		if _, err := r.Start(Spec{Path: "/nonexistent"}); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("a missing program: %v", err)
		}
		if _, err := r.Start(Spec{Path: "/etc/passwd"}); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("a program without execute permission: %v", err)
		}
	}
	if got := r.Orphans(); got != 0 {
		return fmt.Errorf("failed starts were counted as %d orphans", got)
	}
	r.Close()
	if _, err := r.Start(spec("exit-0")); !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("start after close: %v", err)
	}
	return nil
}

// eventually asks until there is no error, for a while.
func eventually(check func() error) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
