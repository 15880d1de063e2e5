//go:build e2e

package cli

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"okteto/e2e/harness"
)

// An API server, or a proxy before it, that does not know WebSocket: everything
// works over SPDY.
func TestWithoutWebSocket(t *testing.T) {
	t.Parallel()
	s := harness.NewSample(t, nil)
	var refused atomic.Int32
	direct := s.CLI.Kubeconfig
	s.CLI.Kubeconfig = withoutWebSocket(t, s.Config, &refused)
	t.Cleanup(func() { s.CLI.Kubeconfig = direct })
	s.MustOkteto("up", "--detach")
	s.EditServed("over SPDY")
	if result := s.Okteto(strings.NewReader("in"), "exec", "--", "sh", "-c", "cat; exit 5"); result.Code != 5 || result.Stdout != "in" {
		t.Errorf("exec: exit code %d, %q, %s", result.Code, result.Stdout, result.Stderr)
	}
	if out := s.MustOkteto("doctor"); !strings.Contains(out, "spdy") {
		t.Errorf("doctor does not name the transport:\n%s", out)
	}
	s.MustOkteto("down")
	if refused.Load() == 0 {
		t.Error("WebSocket was not tried, so nothing fell back")
	}
	s.Restored()
}

// withoutWebSocket starts a proxy to the API server that refuses WebSocket, as
// servers from before KEP-4006 do, and returns a kubeconfig that leads through it.
func withoutWebSocket(t *testing.T, config *rest.Config, refused *atomic.Int32) (kubeconfig string) {
	t.Helper()
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"} // upgrades are of that version
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(server)
	proxy.Transport = transport
	proxy.FlushInterval = -1 // watches
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			refused.Add(1)
			http.Error(w, "Upgrade request required", http.StatusBadRequest)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	through := clientcmdapi.NewConfig()
	through.Clusters["spdy"] = &clientcmdapi.Cluster{Server: front.URL}
	through.AuthInfos["spdy"] = &clientcmdapi.AuthInfo{}
	through.Contexts["spdy"] = &clientcmdapi.Context{Cluster: "spdy", AuthInfo: "spdy"}
	through.CurrentContext = "spdy"
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*through, kubeconfig); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
