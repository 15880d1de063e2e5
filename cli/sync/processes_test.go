//go:build linux

package sync

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/testkit/tree"
	"okteto/internal/testkit/users"
)

// testPod is the pod's end as a process: the home is in the environment.
func testPod(home string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := engine.FromXML(engine.XMLOptions{Home: home, DataDir: home, ListenAddress: os.Getenv("OKTETO_TEST_LISTEN"), GUIAddress: os.Getenv("OKTETO_TEST_GUI")})
	if err == nil {
		var e *engine.Engine
		if e, err = engine.New(config); err == nil {
			err = e.Serve(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// podProcess runs the pod's end in a process that can be killed.
func (w *world) podProcess() *exec.Cmd {
	w.t.Helper()
	w.writePodFiles()
	if w.podAPI == "" {
		var err error
		if w.podAddr, err = freeAddress(); err != nil {
			w.t.Fatal(err)
		}
		if w.podAPI, err = freeAddress(); err != nil {
			w.t.Fatal(err)
		}
	}
	pod := exec.Command(os.Args[0])
	pod.Env = append(os.Environ(), "OKTETO_TEST_POD="+w.podHome, "OKTETO_TEST_LISTEN="+w.podAddr, "OKTETO_TEST_GUI="+w.podAPI, "LOGGER_DISCARD=1")
	pod.Stderr = os.Stderr
	if err := pod.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = pod.Process.Kill()
		_ = pod.Wait()
	})
	return pod
}

// Both ends are killed in the middle of the first synchronization; nothing has
// to be cleaned up by hand.
func TestKilledInTheFirstSynchronization(t *testing.T) {
	w := newWorld(t)
	if err := tree.Generate(w.laptop, tree.Spec{Files: 3000, MaxSize: 2048, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	pod := w.podProcess()
	d := w.start()
	for _, victim := range []string{"pod", "laptop", "both"} {
		eventually(t, "transfer", func() bool {
			s, err := d.Status(t.Context())
			return err == nil && s.Connected && s.OutBytes > 0
		})
		if victim != "laptop" {
			_ = pod.Process.Kill()
			_ = pod.Wait()
			pod = w.podProcess()
		}
		if victim != "pod" {
			_ = d.cmd.Process.Kill()
			<-d.Done()
			d = w.start()
		}
	}
	w.synced(d)
	diff, err := tree.Compare(w.laptop, w.pod)
	if err != nil || len(diff) > 0 {
		t.Errorf("differences: %v, %v", diff, err)
	}
}

// TestProcesses is the model of the engine's tests on real processes, with
// kill -9 of either. OKTETO_TEST_FULL=1 runs for long.
func TestProcesses(t *testing.T) {
	steps := 120
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		steps = 3000
	}
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	pod := w.podProcess()
	d := w.start()
	w.synced(d)
	known := users.NewContents()
	var people []*users.User
	for _, dir := range []string{w.laptop, w.pod} {
		u, err := users.New(filepath.Base(dir), dir, dir+".aside", seed, known)
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, u)
	}
	var history []string
	for i := range steps {
		switch random.IntN(60) {
		case 0:
			history = append(history, "kill pod")
			_ = pod.Process.Kill()
			_ = pod.Wait()
			history = append(history, people[1].Step())
			pod = w.podProcess()
		case 1:
			history = append(history, "kill laptop")
			_ = d.cmd.Process.Kill()
			<-d.Done()
			history = append(history, people[0].Step())
			d = w.start()
		default:
			u := people[random.IntN(2)]
			history = append(history, fmt.Sprint(i, " ", u.Name(), " ", u.Step()))
		}
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
	}
	var diff []string
	for deadline := time.Now().Add(2 * patience); ; {
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		err := Wait(ctx, w.home)
		cancel()
		var compareErr error
		if diff, compareErr = tree.Compare(w.laptop, w.pod); err == nil && compareErr == nil && len(diff) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("the trees do not become equal: %v, %v", diff, err)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, what := range known.Lost(w.laptop, w.pod, filepath.Join(w.home, trashDir), filepath.Join(w.podHome, "trash")) {
		t.Errorf("lost: %s", what)
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(w.home, contract.SyncthingLogFile))
		t.Logf("seed %d, history:\n%s\nlog:\n%s", seed, strings.Join(history, "\n"), log)
	}
}
