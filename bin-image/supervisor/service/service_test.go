package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thejerf/suture/v4"
	"go.uber.org/goleak"

	"okteto/bin-image/supervisor/child"
)

const roleVariable = "SERVICE_TEST_ROLE"

// reaper of all tests: a process has but one.
var reaper *child.Reaper

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
	case "die":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Hour) // not select: without other goroutines that is a deadlock
	case "polite", "stopped":
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		fmt.Println("listening")
		if role == "stopped" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
		<-term
		os.Exit(0)
	case "chatty":
		fmt.Printf("%s\n", strings.Repeat("x", 3*maxLine))
		fmt.Println(`{"time":"2026-01-01T00:00:00Z","level":"WARN","msg":"json line","conn":7}`)
		fmt.Fprintln(os.Stderr, `time=2026-01-01T00:00:00Z level=ERROR msg="text line" path=/x`)
		fmt.Fprintln(os.Stderr, `[ABCDE] 2026/01/01 00:00:00 WARNING: syncthing line`)
		fmt.Print("no newline at the end")
		time.Sleep(time.Hour)
	}
	var err error
	if reaper, err = child.NewReaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	reaper.Close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func command(role string) func(bool) child.Spec {
	return func(bool) child.Spec {
		return child.Spec{Path: "/proc/self/exe", Env: []string{
			roleVariable + "=" + role,
			"GORACE=atexit_sleep_ms=0", // the race detector ends programs late
		}}
	}
}

// fastBackoff keeps the shape of the real one.
func fastBackoff() Backoff {
	return Backoff{Min: time.Millisecond, Max: 8 * time.Millisecond, Heal: time.Hour, Jitter: 0.3}
}

// lines is a log that can be searched.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// serve runs a service in a tree, as the supervisor does, until the test ends.
func serve(t *testing.T, cfg Config) (*Service, *lines) {
	t.Helper()
	log := &lines{}
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := New(reaper, cfg)
	tree := suture.New("test", suture.Spec{FailureThreshold: 1e9, EventHook: func(suture.Event) {}})
	tree.Add(s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := tree.ServeBackground(ctx)
	t.Cleanup(func() {
		cancel()
		<-ended
		if got := s.Status().Phase; got != Stopped {
			t.Errorf("after the end the phase is %q", got)
		}
	})
	return s, log
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !check(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestDiesAtOnceManyTimes(t *testing.T) {
	const times = 100
	s, log := serve(t, Config{
		Name: "dying", Command: command("die"), Backoff: fastBackoff(),
		Diagnose: func() *Cause { return &Cause{ID: "port-in-use", Detail: "port 1 held by pid 2"} },
	})
	eventually(t, "a hundred ends", func() bool { return s.Status().Exits[ReasonExit] >= times })
	status := s.Status()
	if !status.Failing {
		t.Error("the restart budget is used up and nobody says so")
	}
	if status.Last.Exit.Code != 3 || status.Last.Cause.ID != "port-in-use" {
		t.Errorf("last end: %+v", status.Last)
	}
	eventually(t, "a summary that explains", func() bool {
		return strings.Contains(s.Status().Summary(), "exit code 3 (port-in-use)")
	})
	for _, want := range []string{"last words", `ended="exit code 3"`, "held by pid 2"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestStartFailureIsRetried(t *testing.T) {
	var exists atomic.Bool
	s, _ := serve(t, Config{
		Name: "absent", Backoff: fastBackoff(),
		Command: func(first bool) child.Spec {
			if !exists.Load() {
				return child.Spec{Path: "/nonexistent/program"}
			}
			if !first {
				t.Error("what is only for the first start was lost with the failed ones")
			}
			return command("polite")(first)
		},
	})
	eventually(t, "failures", func() bool { return s.Status().Exits[ReasonStart] >= 5 })
	exists.Store(true)
	eventually(t, "ready", func() bool { return s.Status().Phase == Ready })
}

func TestKilledIsToldFromOutOfMemory(t *testing.T) {
	var kills atomic.Uint64
	s, _ := serve(t, Config{
		Name: "victim", Command: command("polite"), Backoff: fastBackoff(),
		OOMKills: func() (uint64, error) { return kills.Load(), nil },
	})
	kill := func() {
		var pid int
		eventually(t, "running", func() bool { pid = s.Status().PID; return pid != 0 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "restart", func() bool { p := s.Status().PID; return p != 0 && p != pid })
	}
	kill()
	if got := s.Status().Last.Reason; got != ReasonSignal {
		t.Errorf("reason after kill -9: %s", got)
	}
	kills.Add(1)
	kill()
	if got := s.Status().Last.Reason; got != ReasonOOM {
		t.Errorf("reason after a kill for memory: %s", got)
	}
}

func TestRequestedRestartIsNoFailure(t *testing.T) {
	s, _ := serve(t, Config{Name: "restarting", Command: command("die"), RestartCode: 3, Backoff: fastBackoff()})
	eventually(t, "restarts", func() bool { return s.Status().Restarts > 20 })
	if status := s.Status(); status.Failing || status.Exits[ReasonExit] != 0 {
		t.Errorf("restarts on request count as failures: %+v", status)
	}
}

func TestReadiness(t *testing.T) {
	var answers atomic.Bool
	errSilent := errors.New("no answer")
	s, log := serve(t, Config{
		Name: "slow", Command: command("polite"), Backoff: fastBackoff(),
		ProbeEvery: 5 * time.Millisecond, Hung: 50 * time.Millisecond,
		Probe: func(context.Context) error {
			if answers.Load() {
				return nil
			}
			return errSilent
		},
	})
	eventually(t, "starting", func() bool { return s.Status().Phase == Starting })
	pid := s.Status().PID
	answers.Store(true)
	eventually(t, "ready", func() bool { return s.Status().Phase == Ready })
	answers.Store(false)
	eventually(t, "unresponsive", func() bool { return strings.Contains(log.String(), "does not answer") })
	eventually(t, "restart of what hangs", func() bool { return s.Status().Exits[ReasonUnresponsive] > 0 })
	answers.Store(true)
	eventually(t, "a new process is ready", func() bool {
		status := s.Status()
		return status.Phase == Ready && status.PID != pid
	})
}

// TestStoppedIsContinued: SIGSTOP costs a service nothing but the time until it is
// noticed.
func TestStoppedIsContinued(t *testing.T) {
	s, log := serve(t, Config{
		Name: "stopped", Command: command("polite"), Backoff: fastBackoff(),
		ProbeEvery: 5 * time.Millisecond, Probe: func(context.Context) error { return nil },
	})
	eventually(t, "ready", func() bool { return s.Status().Phase == Ready })
	pid := s.Status().PID
	for range 3 {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "that it runs again", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && !strings.Contains(string(stat), ") T ") && strings.Contains(log.String(), "was stopped by a signal")
		})
	}
	if status := s.Status(); status.PID != pid || status.Restarts > 0 {
		t.Errorf("it was replaced: %+v", status)
	}
}

func TestStop(t *testing.T) {
	for role, want := range map[string]string{"polite": "exit code 0", "stubborn": "signal SIGKILL", "stopped": "exit code 0"} {
		t.Run(role, func(t *testing.T) {
			log, grace := &lines{}, 20*time.Second
			if role == "stubborn" {
				grace = 200 * time.Millisecond
			}
			s := New(reaper, Config{
				Name: role, Command: command(role), Grace: grace,
				Log: slog.New(slog.NewTextHandler(log, nil)),
			})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- s.Serve(ctx) }()
			eventually(t, "its first line", func() bool { return strings.Contains(log.String(), "stream=stdout") })
			if role == "stopped" {
				eventually(t, "that it is stopped", func() bool {
					stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Status().PID))
					return err == nil && strings.Contains(string(stat), ") T ")
				})
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Serve: %v", err)
			}
			if last := s.Status().Last; last == nil || last.Reason != ReasonStop || last.Exit.String() != want {
				t.Errorf("end: %+v, want %s", last, want)
			}
		})
	}
}

// TestStopAfter: a service that another one has need of is stopped when that has ended.
func TestStopAfter(t *testing.T) {
	log := &lines{}
	serve := func(cfg Config) (*Service, context.CancelFunc) {
		cfg.Grace, cfg.Log = 20*time.Second, slog.New(slog.NewTextHandler(log, nil))
		s := New(reaper, cfg)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _ = s.Serve(ctx) }()
		t.Cleanup(func() { cancel(); <-s.Stopped() })
		eventually(t, "a process", func() bool { return s.Status().PID != 0 })
		return s, cancel
	}
	first, stopFirst := serve(Config{Name: "first", Command: command("polite")})
	second, stopSecond := serve(Config{Name: "second", Command: command("polite"), After: first.Stopped()})
	stopSecond()
	pid := second.Status().PID
	select {
	case <-second.Stopped():
		t.Fatal("it was stopped before the one that needs it")
	case <-time.After(AfterLimit / 10):
	}
	if second.Status().PID != pid || first.Status().Phase == Stopped {
		t.Errorf("%+v, %+v", first.Status(), second.Status())
	}
	stopFirst()
	<-first.Stopped()
	<-second.Stopped()
	if last := second.Status().Last; last == nil || last.Reason != ReasonStop || last.Exit.String() != "exit code 0" {
		t.Errorf("end: %+v", last)
	}
}

func TestOutputBecomesStructuredLines(t *testing.T) {
	s, log := serve(t, Config{Name: "chatty", Command: command("chatty"), Backoff: fastBackoff()})
	eventually(t, "running", func() bool { return s.Status().PID != 0 })
	for _, want := range []string{
		`level=INFO msg=` + strings.Repeat("x", maxLine) + ` service=chatty stream=stdout`,
		`level=WARN msg="json line" service=chatty stream=stdout conn=7`,
		`level=ERROR msg="text line path=/x" service=chatty stream=stderr`,
		`level=WARN msg="syncthing line" service=chatty stream=stderr`,
	} {
		eventually(t, want[:min(60, len(want))], func() bool { return strings.Contains(log.String(), want) })
	}
	_ = syscall.Kill(s.Status().PID, syscall.SIGKILL)
	eventually(t, "the unfinished line", func() bool { return strings.Contains(log.String(), "no newline at the end") })
}
