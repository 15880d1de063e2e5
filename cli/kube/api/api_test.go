package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func client(t *testing.T, handler http.HandlerFunc) *Clientset {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL, QPS: 100, Burst: 100})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What each call asks for is what the API server expects.
func TestRequests(t *testing.T) {
	var got []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.RequestURI())
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	})
	ctx := t.Context()
	seconds := int64(7)
	deployments, pods := c.AppsV1().Deployments("ns"), c.CoreV1().Pods("ns")
	for _, err := range []error{
		fail(deployments.Get(ctx, "d", metav1.GetOptions{})),
		fail(deployments.List(ctx, metav1.ListOptions{LabelSelector: "a=b", TimeoutSeconds: &seconds})),
		fail(deployments.Create(ctx, &appsv1.Deployment{}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})),
		fail(deployments.Update(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, metav1.UpdateOptions{})),
		fail(deployments.Patch(ctx, "d", "application/merge-patch+json", []byte("{}"), metav1.PatchOptions{}, "scale")),
		pods.Delete(ctx, "p", metav1.DeleteOptions{}),
		fail(pods.GetLogs("p", &corev1.PodLogOptions{Container: "c"}).DoRaw(ctx)),
		fail(pods.Exec("p", &corev1.PodExecOptions{Command: []string{"a", "b"}}).DoRaw(ctx)),
		fail(c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})),
		fail(c.BatchV1().Jobs("ns").Get(ctx, "j", metav1.GetOptions{})),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	watch, err := pods.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watch.Stop()
	want := []string{
		"GET /apis/apps/v1/namespaces/ns/deployments/d",
		"GET /apis/apps/v1/namespaces/ns/deployments?labelSelector=a%3Db&timeout=7s&timeoutSeconds=7",
		"POST /apis/apps/v1/namespaces/ns/deployments?dryRun=All",
		"PUT /apis/apps/v1/namespaces/ns/deployments/d",
		"PATCH /apis/apps/v1/namespaces/ns/deployments/d/scale",
		"DELETE /api/v1/namespaces/ns/pods/p",
		"GET /api/v1/namespaces/ns/pods/p/log?container=c",
		"POST /api/v1/namespaces/ns/pods/p/exec?command=a&command=b",
		"GET /api/v1/nodes",
		"GET /apis/batch/v1/namespaces/ns/jobs/j",
		"GET /api/v1/namespaces/ns/pods?watch=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	kind, err := c.Kind(&appsv1.Deployment{})
	if err != nil || kind.String() != "apps/v1, Kind=Deployment" {
		t.Errorf("kind of a Deployment: %v, %v", kind, err)
	}
}

func fail[T any](_ T, err error) error { return err }

// Each resource comes in the version that its group prefers, or the first that has
// it; a part of the API that is down is named and does not hide the others.
func TestPreferredResources(t *testing.T) {
	resources := func(version string, names ...string) metav1.APIResourceList {
		list := metav1.APIResourceList{GroupVersion: version}
		for _, name := range names {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		return list
	}
	versions := func(group string, versions ...string) metav1.APIGroup {
		g := metav1.APIGroup{Name: group}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: group + "/" + v, Version: v})
		}
		g.PreferredVersion = g.Versions[len(versions)-1]
		return g
	}
	answers := map[string]any{
		"/api/v1":       resources("v1", "pods", "events"),
		"/apis":         metav1.APIGroupList{Groups: []metav1.APIGroup{versions("x.io", "v1beta1", "v1"), versions("down.io", "v1"), versions("events.k8s.io", "v1")}},
		"/apis/x.io/v1": resources("x.io/v1", "as"), "/apis/x.io/v1beta1": resources("x.io/v1beta1", "as", "bs"),
		"/apis/events.k8s.io/v1": resources("events.k8s.io/v1", "events"),
	}
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	lists, unanswered, err := c.PreferredResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, list := range lists {
		for _, r := range list.APIResources {
			got = append(got, list.GroupVersion+" "+r.Name)
		}
	}
	want := []string{"v1 pods", "v1 events", "x.io/v1 as", "x.io/v1beta1 bs", "events.k8s.io/v1 events"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(unanswered) != 1 || unanswered["down.io/v1"] == nil {
		t.Errorf("unanswered: %v", unanswered)
	}
}

// The program must not link what this package is there to keep out.
func TestProgramLinksNoClientset(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "okteto/cli").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	for _, heavy := range []string{"k8s.io/client-go/kubernetes/scheme", "k8s.io/client-go/testing", "k8s.io/client-go/gentype", "k8s.io/client-go/discovery"} {
		if slices.Contains(linked, heavy) {
			t.Errorf("the program links %s", heavy)
		}
	}
}
