//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// sample is the sample application in a test's namespace.
type sample struct{ *harness.SampleTest }

func newSample(t *testing.T) sample {
	t.Helper()
	return sample{harness.NewSample(t, nil)}
}

// TestMainJob is what the project is for: edits travel both ways between a
// laptop and a pod, ports are forwarded, commands run with their true exit
// codes, and at the end the application is as it was.
func TestMainJob(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.MustOkteto("up", "--detach")

	state, err := os.ReadFile(s.StateFile(contract.StateFile))
	if err != nil || string(state) != contract.StateReady {
		t.Errorf("state file holds %q, error %v; want %q", state, err, contract.StateReady)
	}
	d, err := s.Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if *d.Spec.Replicas != 0 || d.Labels[contract.DevLabel] != "true" || d.Annotations[contract.ReplicasAnnotation] != "2" {
		t.Errorf("original during up: %d replicas, labels %v, annotations %v", *d.Spec.Replicas, d.Labels, d.Annotations)
	}
	s.MustSay("first edit")
	s.Serves("first edit")

	t.Run("edit in the pod", func(t *testing.T) {
		s.MustOkteto("exec", "--", "sh", "-c", "mkdir -p made/in && echo from the pod > made/in/pod.txt")
		s.Eventually("the pod's file on the laptop", func(context.Context) error {
			content, err := os.ReadFile(filepath.Join(s.Dir, "made", "in", "pod.txt"))
			if err == nil && string(content) != "from the pod\n" {
				err = fmt.Errorf("it holds %q", content)
			}
			return err
		})
		s.MustOkteto("exec", "--", "rm", "-r", "made")
		s.Eventually("the pod's removal on the laptop", func(context.Context) error {
			_, err := os.Stat(filepath.Join(s.Dir, "made"))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err == nil:
				return errors.New("still there")
			}
			return err
		})
	})
	t.Run("exec", func(t *testing.T) { s.execTellsTheTruth(t) })
	t.Run("status", func(t *testing.T) {
		if out := s.MustOkteto("status"); !strings.Contains(out, harness.SampleName) {
			t.Errorf("status does not name the environment: %s", out)
		}
	})

	s.MustOkteto("down")
	s.Restored()
	if _, err := os.Stat(s.StateFile(contract.StateFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state file after down: %v", err)
	}

	s.MustOkteto("up", "--detach")
	s.MustSay("after the second up")
	s.Serves("after the second up")
	s.MustOkteto("down")
	s.Restored()
}

func (s sample) execTellsTheTruth(t *testing.T) {
	for _, c := range []struct {
		command string
		code    int
		stdout  string
		stderr  string
	}{
		{command: "printf out; printf err >&2", stdout: "out", stderr: "err"},
		{command: "exit 7", code: 7},
		{command: "exit 130", code: 130},
		{command: "exit 255", code: 255},
		{command: "kill -KILL $$", code: 128 + 9},
		{command: "kill -TERM $$", code: 128 + 15},
		{command: "pwd", stdout: "/app\n"},
		{command: "seq 1 200000 | tail -n 1", stdout: "200000\n"},
	} {
		result := s.Okteto(nil, "exec", "--", "sh", "-c", c.command)
		if result.Code != c.code || result.Stdout != c.stdout || !strings.Contains(result.Stderr, c.stderr) {
			t.Errorf("%s: exit code %d, want %d; stdout %q, want %q; stderr %q", c.command, result.Code, c.code, result.Stdout, c.stdout, result.Stderr)
		}
	}
	input := strings.Repeat("all the bytes\x00\xff\n", 100_000)
	if result := s.Okteto(strings.NewReader(input), "exec", "--", "cat"); result.Code != 0 || result.Stdout != input {
		t.Errorf("cat: exit code %d, %d bytes back of %d", result.Code, len(result.Stdout), len(input))
	}
}

// TestTwoNamespaces runs one application twice: what happens in one namespace
// does not touch the other, although everything has the same names.
func TestTwoNamespaces(t *testing.T) {
	t.Parallel()
	a, b := newSample(t), newSample(t)
	b.CLI.Home = a.CLI.Home // one laptop, two terminals
	a.MustOkteto("up", "--detach")
	b.MustOkteto("up", "--detach")
	a.MustSay("namespace a")
	b.MustSay("namespace b")
	a.Serves("namespace a")
	b.Serves("namespace b")

	a.MustOkteto("down")
	a.Restored()
	b.MustSay("b lives on")
	b.Serves("b lives on")
	b.MustOkteto("down")
	b.Restored()
}

// TestVolumeKeepsData brings an environment with a volume up twice: what the
// pod wrote outside the synchronized folder's ignored part is there again.
func TestVolumeKeepsData(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	manifest := filepath.Join(s.Dir, "okteto.yml")
	content, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(content), "enabled: false", "enabled: true", 1) + "volumes:\n  - /data\n"
	if err := os.WriteFile(manifest, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	s.MustOkteto("up", "--detach")
	s.MustOkteto("exec", "--", "sh", "-c", "echo kept > /data/file")
	s.MustOkteto("down")
	s.MustOkteto("up", "--detach")
	if out := s.MustOkteto("exec", "--", "cat", "/data/file"); out != "kept\n" {
		t.Errorf("/data/file holds %q", out)
	}
	s.MustSay("with a volume")
	s.Serves("with a volume")
	s.MustOkteto("down", "--volumes")
	s.Restored()
}

// TestKilledClient kills a running up as a crash would: nothing is lost, and
// another up and down go on from there.
func TestKilledClient(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	up := s.CLI.Command(t.Context(), "up")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	s.Serves("Hello")
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	up.Wait() // its error is the kill
	s.MustSay("edited while nothing ran")
	s.MustOkteto("up", "--detach")
	s.Serves("edited while nothing ran")
	s.MustOkteto("down")
	s.Restored()
}

// TestNamespaceIsDeleted takes everything away from a running up: it ends and
// says so, since nothing will come back.
func TestNamespaceIsDeleted(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	up := s.CLI.Command(t.Context(), "up")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		up.Wait() // its error is the exit code
	}()
	s.Serves("Hello")
	if err := s.DeleteNamespace(t.Context(), s.Namespace); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(harness.Timeout):
		t.Fatal("up runs on without a namespace")
	}
	if code := up.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// TestInterruptedUp stops up at many moments of its start: its exit code is the
// signal's, it says how to go on, and down always leads back to where it began.
func TestInterruptedUp(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	for i, state := range []string{contract.StateActivating, contract.StateStarting, contract.StatePulling, contract.StateStartingSync, contract.StateSynchronizing} {
		t.Run(state, func(t *testing.T) {
			up, end := s.CLI.Command(t.Context(), "up"), signals[i%len(signals)]
			var said strings.Builder
			up.Stderr = &said
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- up.Wait() }()
			s.Eventually("state "+state, func(context.Context) error {
				content, err := os.ReadFile(s.StateFile(contract.StateFile))
				if err == nil && !reached(string(content), state) {
					err = fmt.Errorf("state %s", content)
				}
				return err
			})
			if err := up.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			<-ended
			want := 128 + int(end)
			if strings.Contains(said.String(), "\n  Ready ") {
				want = 0 // it was faster than the signal
			} else if state != contract.StateActivating && !strings.Contains(said.String(), "okteto down") {
				t.Errorf("it does not say how to go on: %s", said.String())
			}
			if code := up.ProcessState.ExitCode(); code != want {
				t.Errorf("%v: exit code %d, want %d; it said: %s", end, code, want, said.String())
			}
			s.MustOkteto("down")
			s.Restored()
		})
	}
}

// reached tells whether a state is the wanted one or comes after it.
func reached(state, want string) bool {
	order := []string{contract.StateActivating, contract.StateStarting, contract.StateAttaching, contract.StatePulling, contract.StateStartingSync, contract.StateSynchronizing, contract.StateReady}
	now, then := -1, -1
	for i, s := range order {
		if s == state {
			now = i
		}
		if s == want {
			then = i
		}
	}
	return now >= then
}

// TestMain fails at once, and with one message, when there is no cluster.
func TestMain(m *testing.M) {
	if _, err := harness.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
