package workload

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"okteto/cli/kube/api"
	"okteto/internal/contract"
)

// TestWatchEnds: with its context all of a watch ends, and its channel is closed.
// What the cluster does meanwhile is tested against a real one (e2e/workload).
func TestWatchEnds(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignored) }) // after the server's end
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
	deletePod := make(chan struct{})
	client := serve(t, pod, deletePod, w.Deployment, twin.Deployment)
	target := Target{Client: client, Namespace: "default", Dev: dev}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes, err := Watch(ctx, target, &Activation{Original: w, Twin: twin, Pod: &Pod{Name: "pod", UID: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	close(deletePod) // at once, most likely before anyone looks
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

// serve is an API server with one pod, which goes when deleted is closed, and
// deployments.
func serve(t *testing.T, pod *corev1.Pod, deleted <-chan struct{}, deployments ...*appsv1.Deployment) *api.Clientset {
	t.Helper()
	read := func(r *http.Request) runtime.Object {
		if strings.HasSuffix(r.URL.Path, "/pods") {
			return &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.Pod{*pod}}
		}
		list := &appsv1.DeploymentList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
		for _, d := range deployments {
			if strings.HasSuffix(r.URL.Path, "/"+d.Name) {
				return d
			}
			if r.URL.Query().Get("fieldSelector") == "metadata.name="+d.Name {
				list.Items = append(list.Items, *d)
			}
		}
		return list
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := json.NewEncoder(w)
		if r.URL.Query().Get("watch") == "" {
			_ = answer.Encode(read(r))
			return
		}
		if r.URL.Query().Has("sendInitialEvents") { // not known before Kubernetes 1.27
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = answer.Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid})
			return
		}
		_ = http.NewResponseController(w).Flush()
		if strings.HasSuffix(r.URL.Path, "/pods") {
			select {
			case <-deleted:
				gone := pod.DeepCopy()
				gone.TypeMeta, gone.ResourceVersion = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, "2"
				_ = answer.Encode(map[string]any{"type": "DELETED", "object": gone})
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
			}
		}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client, err := api.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
