//go:build e2e

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"okteto/internal/contract"
)

// okteto/okteto#309: a pod that was replaced ended the session.
func TestPodDeleted(t *testing.T) {
	for name, enabled := range map[string]string{"with a volume": "true", "without a volume": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t)
			l.MustRewrite(contract.ManifestFile, `enabled: \w+`, "enabled: "+enabled)
			l.MustOkteto("up", "--detach")
			l.EditServed("before")
			w := l.witness()
			old := l.MustDevPod()
			w.edit()
			w.editInPod() // and it ends at once: what was saved in it last is sent
			if err := l.DeletePod(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.edit()
			// Until it has ended, the old one serves what is saved.
			l.Eventually("another pod", func(ctx context.Context) error {
				now, err := l.DevPod(ctx)
				if err == nil && now.UID == old.UID {
					err = errors.New("it is the old one")
				}
				return err
			})
			l.EditServed("after")
			l.Reaches(contract.StateReady)
			w.survivesWithout()
			if result := l.Okteto(nil, "exec", "--", "sh", "-c", "exit 9"); result.Code != 9 {
				t.Errorf("exec afterwards: exit code %d: %s", result.Code, result.Stderr)
			}
			l.MustOkteto("down", "--volumes")
			l.Restored()
		})
	}
}

const (
	// outage is how long the way to the cluster is gone.
	outage = 30 * time.Second
	// goesOn is how long it may take after that until work goes on. bench-up measures
	// it; here the machine may be busy with other tests.
	goesOn = 6 * time.Second
)

// back waits until a text that was saved during an outage is served.
func (l *laptop) back(text string) {
	l.Helper()
	start := time.Now()
	l.Serves(text)
	took := time.Since(start)
	l.Logf("works again after %v", took)
	if took > goesOn {
		l.Errorf("work goes on only %v after it could", took)
	}
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
		"black hole, then a NAT that has forgotten": {
			begin: func(l *laptop) { l.way.Stall(true) },
			end:   func(l *laptop) { l.way.Strand(); l.way.Stall(false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t)
			l.MustOkteto("up", "--detach")
			l.EditServed("before")
			w := l.witness()
			pid := l.UpPID()
			fault.begin(l)
			over := time.After(outage)
			w.edit() // what is saved meanwhile is not lost
			w.editInPod()
			l.MustSay("saved without network")
			l.Eventually("up to notice", func(context.Context) error {
				log, err := os.ReadFile(l.StateFile(contract.LogFile))
				if err == nil && !strings.Contains(string(log), "Connection to the pod lost") {
					err = errors.New("it has not said so")
				}
				return err
			})
			<-over
			fault.end(l)
			l.back("saved without network")
			l.EditServed("after")
			if l.UpPID() != pid {
				t.Error("another process is the up")
			}
			w.survives()
			l.MustOkteto("down")
			l.Restored()
		})
	}
}

// A laptop that sleeps: nothing of okteto runs on it, while the pod goes on.
func TestLaptopAsleep(t *testing.T) {
	const night = 90 * time.Second
	for name, meanwhile := range map[string]struct{ forgotten, replaced bool }{
		"connections kept":                    {},
		"connections forgotten":               {forgotten: true},
		"connections forgotten, pod replaced": {forgotten: true, replaced: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t)
			l.MustOkteto("up", "--detach")
			l.EditServed("before")
			w := l.witness()
			pid := l.UpPID()
			wake := l.sleep(w.command.cmd.Process.Pid)
			morning := time.After(night)
			if meanwhile.forgotten {
				l.way.Strand()
			}
			if meanwhile.replaced {
				if err := l.DeletePod(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				w.editInPod()
			}
			<-morning
			if !meanwhile.replaced {
				w.editInPod()
			}
			wake()
			l.MustSay("awake")
			l.back("awake")
			w.edit()
			if l.UpPID() != pid {
				t.Error("another process is the up")
			}
			if meanwhile.replaced {
				w.survivesWithout()
			} else {
				if meanwhile.forgotten { // what is typed before is typed into nothing
					w.command.sees("connected again")
				}
				w.survives()
			}
			l.Reaches(contract.StateReady)
			l.MustOkteto("down")
			l.Restored()
		})
	}
}

// okteto/okteto#2294: the second up failed with "port in use".
func TestTwoUps(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	w := l.witness()
	first := l.UpPID()
	refused := l.Okteto(nil, "up", "--detach")
	if refused.Code != 1 || !strings.Contains(refused.Stderr, fmt.Sprintf("process %d", first)) || !strings.Contains(refused.Stderr, "--take-over") {
		t.Errorf("the second up: exit code %d, %s", refused.Code, refused.Stderr)
	}
	l.Reaches(contract.StateReady)
	w.edit()
	w.editInPod()
	l.MustOkteto("up", "--detach", "--take-over")
	if l.UpPID() == first {
		t.Error("the first up is still there")
	}
	l.EditServed("taken over")
	w.survives()
	l.MustOkteto("down")
	l.Restored()
}

// A controller that wants its replicas back during up: it is named, and work goes on
// beside it.
func TestControllerFightsBack(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	w := l.witness()
	for range 5 {
		l.MustOkteto("status") // which waits for nothing
		if err := l.scale(2); err != nil {
			t.Fatal(err)
		}
		w.edit()
		w.editInPod()
		l.Eventually("the scale to be noticed", func(context.Context) error {
			log, err := os.ReadFile(l.StateFile(contract.LogFile))
			if err == nil && !strings.Contains(string(log), "was scaled to 2") {
				err = errors.New("it has not said so")
			}
			return err
		})
		w.settled()
	}
	l.EditServed("beside a controller")
	w.survives()
	l.MustOkteto("down")
	l.Restored()
}
