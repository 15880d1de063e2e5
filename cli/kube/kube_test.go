package kube

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A watch on a connection that is dead, which nobody told it, ends; and so does the
// wait for an answer on it.
func TestReconnect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !r.URL.Query().Has("watch") {
			_, _ = w.Write([]byte(`{"kind":"PodList","apiVersion":"v1","items":[]}`))
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", Namespace: "ns"}
	config.CurrentContext = "c"
	path := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
	client, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	pods := client.Clientset.CoreV1().Pods("ns")
	watch, err := pods.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	client.Reconnect()
	limit := time.After(time.Minute)
	for ended := false; !ended; {
		select {
		case _, open := <-watch.ResultChan():
			ended = !open
		case <-limit:
			t.Fatal("the watch goes on")
		}
	}
	if _, err := pods.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("after it: %v", err)
	}
}
