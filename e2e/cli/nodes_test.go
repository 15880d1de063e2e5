//go:build e2e

package cli

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/internal/contract"
)

// A node is drained under the pod: it moves to another one, and work goes on.
func TestNodeDrained(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	pod := l.MustDevPod()
	l.schedulable(pod.Spec.NodeName, false)
	t.Cleanup(func() { l.schedulable(pod.Spec.NodeName, true) })
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: l.Namespace}}
	if err := l.Client.CoreV1().Pods(l.Namespace).EvictV1(t.Context(), eviction); err != nil {
		t.Fatal(err)
	}
	l.EditServed("while it moves")
	l.Reaches(contract.StateReady)
	l.EditServed("after")
	if now := l.MustDevPod(); now.Spec.NodeName == pod.Spec.NodeName {
		t.Errorf("the pod is on %s again", now.Spec.NodeName)
	}
	l.MustOkteto("down")
	l.Restored()
}

// schedulable cordons a node, or takes that back.
func (l *laptop) schedulable(node string, yes bool) {
	l.Helper()
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, !yes)
	// The context of a test has ended when its clean-up runs.
	if _, err := l.Client.CoreV1().Nodes().Patch(l.background(), node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		l.Error(err)
	}
}

// A command that takes more memory than the container may is killed, says so by
// its exit code, and the environment lives on, or comes back where the kernel kills
// the whole container.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	result := l.Okteto(nil, "exec", "--", "python3", "-c", "x = 'a' * 10**9; print('not killed')")
	if result.Code == 0 {
		t.Errorf("exit code 0, %s", result.Stdout)
	}
	if restarts := l.restarts(l.MustDevPod()); restarts == 0 && result.Code != 137 {
		t.Errorf("exit code %d, want 137: %s", result.Code, result.Stderr)
	}
	l.EditServed("after")
	l.Reaches(contract.StateReady)
	l.MustOkteto("down")
	l.Restored()
}

func (l *laptop) restarts(pod *corev1.Pod) (n int32) {
	for _, status := range pod.Status.ContainerStatuses {
		n += status.RestartCount
	}
	return n
}
