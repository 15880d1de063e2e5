//go:build e2e

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// okteto/okteto#309: a pod that was replaced ended the session.
func TestPodDeleted(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	old := l.MustDevPod()
	if err := l.DeletePod(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	l.EditServed("after")
	t.Logf("served again %v after the pod was deleted", time.Since(start))
	l.Reaches(contract.StateReady)
	if now := l.MustDevPod(); now.UID == old.UID {
		t.Error("the pod was not replaced")
	}
	if result := l.Okteto(nil, "exec", "--", "sh", "-c", "exit 9"); result.Code != 9 {
		t.Errorf("exec afterwards: exit code %d: %s", result.Code, result.Stderr)
	}
	l.MustOkteto("down")
	l.Restored()
}

// okteto/okteto#511, #643, #50, #1131, #353: after a time without network the
// forwards were dead, or up had ended without a word.
func TestNetworkLost(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end func(*laptop) }{
		"cut": {
			begin: func(l *laptop) { l.way.Refuse(true); l.way.Cut() },
			end:   func(l *laptop) { l.way.Refuse(false) },
		},
		"black hole": {
			begin: func(l *laptop) { l.way.Stall(true) },
			end:   func(l *laptop) { l.way.Stall(false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t)
			l.MustOkteto("up", "--detach")
			l.EditServed("before")
			pid := l.UpPID()
			fault.begin(l)
			// What is saved meanwhile is not lost.
			l.MustRewrite("server.py", `(?m)^MESSAGE = .*$`, `MESSAGE = "saved without network"`)
			l.Eventually("up to notice", func(context.Context) error {
				log, err := os.ReadFile(l.StateFile(contract.LogFile))
				if err == nil && !strings.Contains(string(log), "Connection to the pod lost") {
					err = errors.New("it has not said so")
				}
				return err
			})
			fault.end(l)
			back := time.Now()
			l.Eventually("the edit to be served", func(ctx context.Context) error {
				got, err := l.Answer(ctx)
				if err == nil && !strings.Contains(got, "saved without network") {
					err = fmt.Errorf("it says %q", got)
				}
				return err
			})
			t.Logf("works again %v after the network was back", time.Since(back))
			l.EditServed("after")
			if l.UpPID() != pid {
				t.Error("another process is the up")
			}
			l.MustOkteto("down")
			l.Restored()
		})
	}
}

// The next up goes on from where the one that was killed had been: the same pod,
// and in it the same command.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	before := l.servers()
	if err := syscall.Kill(l.UpPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if result := l.Okteto(nil, "status"); result.Code != 3 {
		t.Errorf("status without up: exit code %d, want 3: %s", result.Code, result.Stdout)
	}
	l.MustOkteto("up", "--detach")
	if after := l.servers(); after != before {
		t.Errorf("the application runs as %q, before as %q: it was started again", after, before)
	}
	l.EditServed("after")
	l.MustOkteto("down")
	l.Restored()
}

// servers lists the sample's parent processes in the pod, with their pod.
func (l *laptop) servers() string {
	l.Helper()
	return l.MustOkteto("exec", "--", "sh", "-c",
		`hostname; for p in /proc/[0-9]*; do `+
			`if tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^sh -c python3 server.py'; then echo ${p#/proc/}; fi; done`)
}

// okteto/okteto#2294: the second up failed with "port in use".
func TestTwoUps(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	first := l.UpPID()
	refused := l.Okteto(nil, "up", "--detach")
	if refused.Code != 1 || !strings.Contains(refused.Stderr, fmt.Sprintf("process %d", first)) || !strings.Contains(refused.Stderr, "--take-over") {
		t.Errorf("the second up: exit code %d, %s", refused.Code, refused.Stderr)
	}
	l.Reaches(contract.StateReady)
	l.MustOkteto("up", "--detach", "--take-over")
	if l.UpPID() == first {
		t.Error("the first up is still there")
	}
	l.EditServed("taken over")
	l.MustOkteto("down")
	l.Restored()
}

// An up that is interrupted at any moment is one that up or down goes on from.
func TestInterruptedAtAnyMoment(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	for i, pause := range []time.Duration{0, 150 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
		cmd := l.Command(ctx, "up", "--detach")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause) // a moment, whichever
		_ = cmd.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGKILL}[i%2])
		_ = cmd.Wait()
		cancel()
		if i%2 == 0 {
			l.MustOkteto("down")
			l.Restored()
			continue
		}
		// The process in the background may have outlived its parent.
		l.MustOkteto("up", "--detach", "--take-over")
		l.EditServed(fmt.Sprintf("after interruption %d", i))
	}
	l.MustOkteto("down")
	l.Restored()
}
