//go:build e2e

package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/bin-image/process"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// sleep stops all that runs on the laptop: up with its daemon, and others. wake lets
// them go on.
func (l *laptop) sleep(others ...int) (wake func()) {
	l.Helper()
	table, err := process.Snapshot()
	if err != nil {
		l.Fatal(err)
	}
	pids := append([]int{l.UpPID()}, others...)
	for _, p := range table.Descendants(pids[0]) {
		pids = append(pids, p.PID)
	}
	if len(pids) < 2+len(others) {
		l.Fatalf("up has no daemon: %v", pids)
	}
	all := func(signal syscall.Signal) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, signal); err != nil {
				l.Errorf("%v to process %d: %v", signal, pid, err)
			}
		}
	}
	all(syscall.SIGSTOP)
	awake := false
	wake = func() {
		if !awake {
			awake = true
			all(syscall.SIGCONT)
		}
	}
	l.Cleanup(wake)
	return wake
}

// scale does what a controller does that is told another number of replicas.
func (l *laptop) scale(replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := l.Client.AppsV1().Deployments(l.Namespace).Patch(l.Context(), harness.SampleName, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "fighter"})
	return err
}

// The next up goes on from where the one that was killed had been: the same pod,
// and in it the same command.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	w := l.witness()
	before := l.servers()
	if err := syscall.Kill(l.UpPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.edit() // while there is no up
	w.editInPod()
	if result := l.Okteto(nil, "status"); result.Code != 3 {
		t.Errorf("status without up: exit code %d, want 3: %s", result.Code, result.Stdout)
	}
	l.MustOkteto("up", "--detach")
	if after := l.servers(); after != before {
		t.Errorf("the application runs as %q, before as %q: it was started again", after, before)
	}
	l.EditServed("after")
	w.survives()
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

// moments at which something is interrupted, whichever they are.
func moments() []time.Duration {
	return []time.Duration{0, 150 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}
}

// interrupt runs a command and sends it a signal after a while, if it still runs.
func (l *laptop) interrupt(after time.Duration, signal os.Signal, args ...string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), harness.Timeout)
	defer cancel()
	cmd := l.Command(ctx, args...)
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Signal(signal)
	_ = cmd.Wait()
}

// An up that is interrupted at any moment is one that up or down goes on from.
func TestInterruptedAtAnyMoment(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	w := &witness{laptop: l, said: map[string]string{}}
	for i, pause := range moments() {
		w.edit()
		l.interrupt(pause, []os.Signal{syscall.SIGINT, syscall.SIGKILL}[i%2], "up", "--detach")
		if i%2 == 0 {
			l.MustOkteto("down")
			l.Restored()
			w.kept()
			continue
		}
		// The process in the background may have outlived its parent.
		l.MustOkteto("up", "--detach", "--take-over")
		l.EditServed(fmt.Sprintf("after interruption %d", i))
		w.editInPod()
		w.settled()
	}
	l.MustOkteto("down")
	l.Restored()
	w.kept()
}

// A down that is interrupted at any moment is one that down goes on from. What was
// saved in the pod right before it is on the laptop.
func TestDownInterruptedAtAnyMoment(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	w := &witness{laptop: l, said: map[string]string{}}
	for i, pause := range moments() {
		l.MustOkteto("up", "--detach")
		w.edit()
		w.editInPod()
		l.interrupt(pause, []os.Signal{syscall.SIGKILL, syscall.SIGINT}[i%2], "down")
		l.MustOkteto("down")
		l.Restored()
		w.kept()
	}
}

// The workload is deleted while up runs: up says so and ends, and down has nothing
// left to do but to clean up.
func TestWorkloadDeleted(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	p := l.sitDown("up")
	p.sees("Ready")
	w := &witness{laptop: l, said: map[string]string{}}
	w.edit()
	w.editInPod()
	if err := l.Client.AppsV1().Deployments(l.Namespace).Delete(t.Context(), harness.SampleName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code := p.exits(); code != 1 || !strings.Contains(p.screen(), "deployment api is gone") {
		t.Errorf("exit code %d, want 1; the screen:\n%s", code, p.screen())
	}
	w.kept()
	l.MustOkteto("down")
	if _, err := os.Stat(l.StateFile(contract.PIDFile)); err == nil {
		t.Error("the pid file is still there")
	}
	pods, err := l.Client.CoreV1().Pods(l.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: contract.InteractiveLabel})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil {
			t.Errorf("the pod %s is still there", pod.Name)
		}
	}
}
