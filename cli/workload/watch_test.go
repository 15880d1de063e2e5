package workload

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"okteto/internal/contract"
)

// TestWatchEnds: with its context all of a watch ends, and its channel is closed.
// What the cluster does meanwhile is tested against a real one (e2e/workload).
func TestWatchEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w, dev, o := readCase(t, "testdata/deployment")
	_, needed := markPatch(w)
	if !needed {
		t.Fatal("the original is in development mode already")
	}
	twin, err := Translate(w, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	w.Deployment.Labels[contract.DevLabel] = "true"
	w.Deployment.Annotations[contract.ReplicasAnnotation] = "3"
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "pod", Namespace: "default", UID: "1", Labels: map[string]string{contract.InteractiveLabel: "api"},
	}}
	w.Deployment.Spec.Replicas = new(int32)
	client := fake.NewClientset(w.Deployment, twin.Deployment, pod)
	target := Target{Client: client, Namespace: "default", Dev: dev}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes, err := Watch(ctx, target, &Activation{Original: w, Twin: twin, Pod: &Pod{Name: "pod", UID: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	// Deleted at once, most likely before anyone looks.
	if err := client.CoreV1().Pods("default").Delete(ctx, "pod", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for gone := false; !gone; {
		select {
		case c := <-changes:
			gone = c.Kind == PodGone
			t.Log(c)
		case <-limit.C:
			t.Fatal("the pod's end was missed")
		}
	}
	cancel()
	for range changes { // must be closed
	}
}
