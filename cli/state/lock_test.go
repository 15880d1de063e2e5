package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"okteto/internal/contract"
)

// envHolder makes the test binary hold an environment's lock until it is ended.
const envHolder = "OKTETO_TEST_HOLDER"

func TestMain(m *testing.M) {
	if os.Getenv(envHolder) != "" {
		e, err := Open("ns", "api")
		if err == nil {
			_, err = e.Acquire(true)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func open(t *testing.T) *Env {
	t.Helper()
	t.Setenv(contract.EnvFolder, "")
	t.Setenv(contract.EnvHome, t.TempDir())
	e, err := Open("ns", "api")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// hold starts another process that holds the environment's lock.
func hold(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envHolder+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if got := strings.TrimSpace(string(line[:n])); got != "held" {
		t.Fatalf("holder says %q", got)
	}
	return cmd
}

func TestSecondUpLearnsWhoHoldsTheEnvironment(t *testing.T) {
	e := open(t)
	other := hold(t)
	_, err := e.Acquire(false)
	var held *HeldError
	if !errors.As(err, &held) || held.Holder.PID != other.Process.Pid || !held.Holder.Detached {
		t.Fatalf("Acquire = %v, want HeldError of process %d", err, other.Process.Pid)
	}
	if h, running := e.Running(); !running || h.PID != other.Process.Pid {
		t.Errorf("Running = %+v, %v", h, running)
	}
}

func TestLockSurvivesKill(t *testing.T) {
	e := open(t)
	other := hold(t)
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	if h, running := e.Running(); running {
		t.Errorf("Running = %+v after kill -9", h)
	}
	lock, err := e.Acquire(false)
	if err != nil {
		t.Fatalf("Acquire after kill -9: %v", err)
	}
	if e.PID() != os.Getpid() {
		t.Errorf("PID = %d, want own %d", e.PID(), os.Getpid())
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	e.Prune()
	if _, err := os.Stat(e.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there after Release and Prune: %v", err)
	}
}

func TestStopEndsTheHolder(t *testing.T) {
	e := open(t)
	other := hold(t)
	done := make(chan struct{})
	go func() { _ = other.Wait(); close(done) }()
	stopped, err := e.Stop(context.Background())
	if !stopped || err != nil {
		t.Fatalf("Stop = %v, %v", stopped, err)
	}
	<-done
	if stopped, err := e.Stop(context.Background()); stopped || err != nil {
		t.Errorf("second Stop = %v, %v; want nothing to stop", stopped, err)
	}
}

// A process that got the number of an `up` that is gone is not ended for it.
func TestStopKnowsProcessesByStartTime(t *testing.T) {
	e := open(t)
	victim := exec.Command("sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
	content := fmt.Sprintf(`{"pid":%d,"start":"another-boot/1"}`, victim.Process.Pid)
	if err := WriteFile(e.Path(holderFile), []byte(content)); err != nil {
		t.Fatal(err)
	}
	if stopped, err := e.Stop(context.Background()); stopped || err != nil {
		t.Fatalf("Stop = %v, %v", stopped, err)
	}
	if _, err := processStart(victim.Process.Pid); err != nil {
		t.Errorf("the innocent process was ended: %v", err)
	}
}

func TestStateAndModes(t *testing.T) {
	e := open(t)
	if err := e.SetState(contract.StateReady); err != nil {
		t.Fatal(err)
	}
	if got, err := e.State(); got != contract.StateReady || err != nil {
		t.Errorf("State = %q, %v", got, err)
	}
	content, err := os.ReadFile(e.Path(contract.StateFile))
	if err != nil || string(content) != "ready" {
		t.Errorf("okteto.state holds %q, %v; want no newline", content, err)
	}
	for path, want := range map[string]fs.FileMode{
		e.Home: 0o700, e.Dir: 0o700, filepath.Dir(e.Dir): 0o700, e.Path(contract.StateFile): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	// As the seed's CLI wrote a failure.
	if err := os.WriteFile(e.Path(contract.StateFile), []byte("failed:no route"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.State(); got != contract.StateFailed {
		t.Errorf("State = %q, want %q", got, contract.StateFailed)
	}
}

func TestNamesStayInsideTheStateFolder(t *testing.T) {
	t.Setenv(contract.EnvHome, t.TempDir())
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "c:"} {
		if _, err := Locate("ns", name); err == nil {
			t.Errorf("Locate(%q) succeeded", name)
		}
	}
}

func TestSetAsideKeepsTheContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("odd"), 0o600); err != nil {
		t.Fatal(err)
	}
	aside, err := SetAside(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(aside); err != nil || string(got) != "odd" {
		t.Errorf("set aside %q, %v", got, err)
	}
}
