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
	"okteto/internal/testkit/proxy"
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

// history is a random history of two people on real processes, as the model of
// the engine's tests is in one process, with kill -9 of either.
type history struct {
	*world
	random *rand.Rand
	pod    *exec.Cmd
	d      *Daemon
	line   *proxy.Proxy
	disks  []*users.Disk
	known  *users.Contents
	people []*users.User
	log    []string
}

// TestProcesses runs random histories; users.Plan says how to repeat one, and how
// to run more.
func TestProcesses(t *testing.T) {
	users.Plan{First: 7, Seeds: 1, Steps: 150}.Run(t, runProcesses)
}

func runProcesses(t *testing.T, seed uint64, steps int) {
	h := newHistory(t, seed)
	for i := range steps {
		if h.random.IntN(25) == 0 {
			h.log = append(h.log, fmt.Sprint(i, " FAULT ", h.fault()))
		} else {
			u := h.people[h.random.IntN(2)]
			h.log = append(h.log, fmt.Sprint(i, " ", u.Name(), " ", u.Step()))
		}
		time.Sleep(time.Duration(h.random.IntN(30)) * time.Millisecond)
	}
	h.line.Refuse(false)
	for _, disk := range h.disks {
		h.must(disk.Free())
	}
	h.converge()
	for _, what := range h.known.Lost(h.laptop, h.world.pod, TrashDir(h.home), filepath.Join(h.podHome, "trash")) {
		t.Errorf("lost: %s", what)
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(h.home, contract.SyncthingLogFile))
		t.Logf("history:\n%s\nlog:\n%s", strings.Join(h.log, "\n"), log)
	}
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 1)), known: users.NewContents()}
	small := h.random.IntN(2) == 0
	for i, dir := range []*string{&h.laptop, &h.world.pod} {
		if small {
			if disk := users.NewDisk(t, *dir, diskSize); disk != nil {
				h.disks = append(h.disks, disk)
			}
		}
		aside := filepath.Join(*dir, "aside")
		*dir = filepath.Join(*dir, "tree")
		h.must(os.Mkdir(*dir, 0o755))
		u, err := users.New([]string{"laptop", "pod"}[i], *dir, aside, seed, h.known)
		h.must(err)
		h.people = append(h.people, u)
	}
	h.pod = h.podProcess()
	var err error
	h.line, err = proxy.New(h.podAddr)
	h.must(err)
	t.Cleanup(h.line.Close)
	h.d = h.startThrough(false)
	h.synced(h.d)
	return h
}

// diskSize of each side in MiB, when it is one that can be filled.
const diskSize = 64

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// startThrough starts the daemon, which meets the pod through the line.
func (h *history) startThrough(reset bool) *Daemon {
	h.t.Helper()
	o := h.options()
	o.PeerAddress, o.Reset = h.line.Addr(), reset
	d, err := Start(h.t.Context(), o)
	h.must(err)
	h.t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	return d
}

func (h *history) fault() string {
	switch h.random.IntN(8) {
	case 0:
		lost := h.random.IntN(3) == 0
		_ = h.pod.Process.Kill()
		_ = h.pod.Wait()
		if lost {
			h.must(engine.ResetDatabase(h.podHome))
		}
		did := h.people[1].Step()
		h.pod = h.podProcess()
		return fmt.Sprintf("kill pod, database lost %v, meanwhile: %s", lost, did)
	case 1:
		_ = h.d.cmd.Process.Kill()
		<-h.d.Done()
		did := h.people[0].Step()
		h.d = h.startThrough(false)
		return "kill laptop, meanwhile: " + did
	case 2:
		_ = h.d.cmd.Process.Kill()
		<-h.d.Done()
		h.line.Refuse(false)
		h.free()
		did := h.people[0].Step()
		h.d = h.startThrough(true) // the laptop wins, as when it is told to reset
		h.synced(h.d)
		return "reset laptop, meanwhile: " + did
	case 3:
		h.line.Cut()
		return "cut"
	case 4:
		h.line.Stall(true)
		time.Sleep(time.Duration(h.random.IntN(300)) * time.Millisecond)
		h.line.Stall(false)
		return "stall"
	case 5:
		h.line.Refuse(true)
		h.line.Cut()
		return "line down"
	case 6:
		h.line.Refuse(false)
		h.free()
		return "line up, disks have space"
	}
	if len(h.disks) == 0 {
		return "none"
	}
	return fmt.Sprint("disk full ", h.disks[h.random.IntN(2)].Fill())
}

func (h *history) free() {
	for _, disk := range h.disks {
		h.must(disk.Free())
	}
}

// converge waits until both trees are equal. Folders that a guard has stopped, as
// random people remove nearly all now and then, are told to go on.
func (h *history) converge() {
	h.t.Helper()
	var diff []string
	for deadline := time.Now().Add(2 * patience); ; {
		if _, err := Resume(h.t.Context(), h.home); err != nil {
			h.log = append(h.log, "resume: "+err.Error())
		}
		ctx, cancel := context.WithTimeout(h.t.Context(), patience/4)
		err := Wait(ctx, h.home)
		cancel()
		var compareErr error
		if diff, compareErr = tree.Compare(h.laptop, h.world.pod); err == nil && compareErr == nil && len(diff) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s, _ := ReadStatus(h.t.Context(), h.home)
			h.t.Errorf("the trees do not become equal: %v, %v; %+v", diff, err, s)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
