//go:build e2e

package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/bin-image/original"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// prometheusServer scrapes a pod through the API server's proxy. Debian's package
// has no service discovery for Kubernetes, so the pod is named.
type prometheusServer struct {
	e       *environment
	address string
}

const prometheusConfig = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%[1]q]
scrape_configs:
- job_name: okteto
  scheme: https
  tls_config: {ca_file: %[2]q, cert_file: %[3]q, key_file: %[4]q}
  metrics_path: /api/v1/namespaces/%[5]s/pods/%[6]s:%[7]d/proxy/metrics
  static_configs:
  - targets: [%[8]q]
    labels: {namespace: %[5]q, pod: %[6]q}
`

func (e *environment) prometheus() *prometheusServer {
	e.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		e.Skip("Prometheus is not installed (Debian: prometheus)")
	}
	dir := e.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			e.Fatal(err)
		}
		return path
	}
	server, err := url.Parse(e.Config.Host)
	if err != nil {
		e.Fatal(err)
	}
	config := file("prometheus.yml", fmt.Appendf(nil, prometheusConfig, filepath.Join(e.Root, "docs/monitoring/alerts.yaml"),
		file("ca.pem", e.Config.CAData), file("cert.pem", e.Config.CertData), file("key.pem", e.Config.KeyData),
		e.namespace, name, contract.MetricsPort, server.Host))
	p := &prometheusServer{e: e, address: freeAddress(e)}
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		e.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if e.Failed() {
			out, _ := os.ReadFile(log.Name())
			e.Logf("Prometheus:\n%s", out[max(0, len(out)-2000):])
		}
		log.Close()
	})
	return p
}

// query returns the value of an expression that has exactly one.
func (p *prometheusServer) query(ctx context.Context, expression string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+p.address+"/api/v1/query?query="+url.QueryEscape(expression), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%w: %d results %s", errNotYet, len(answer.Data.Result), answer.Error)
	}
	return strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
}

// expect waits until a comparison holds.
func (p *prometheusServer) expect(expression string) {
	p.e.Helper()
	p.e.eventually(expression, func(ctx context.Context) error {
		_, err := p.query(ctx, expression)
		return err
	})
}

// TestPrometheus scrapes a pod through the cluster while things happen to it.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	e := setUp(t, original.Dev{Era: original.H, KeepConflicts: true, Folders: []original.Folder{{Path: "/src"}}},
		podOptions{image: harness.DevImage, memory: "192Mi"}, nil)
	e.start()
	p := e.prometheus()
	p.expect(`up == 1`)
	p.expect(`okteto_sync_connected == 0`)

	const size = 3 << 20
	laptop, home := t.TempDir(), t.TempDir()
	write(t, filepath.Join(laptop, "big"), strings.Repeat("0123456789abcdef", size/16))
	write(t, filepath.Join(laptop, "both"), "at first")
	c := e.up(home, []string{laptop})
	p.expect(`okteto_sync_connected == 1`)
	p.expect(fmt.Sprintf(`okteto_sync_bytes{folder="okteto-1"} == %d`, size+len("at first")))
	p.expect(`okteto_sync_completion_ratio{folder="okteto-1"} == 1`)
	p.expect(`okteto_sync_peer_completion_ratio{folder="okteto-1"} == 1`)
	p.expect(fmt.Sprintf(`okteto_sync_received_bytes_total >= %d`, size/16)) // it is compressed on the way, or not
	p.expect(`okteto_sync_needed_bytes{folder="okteto-1"} == 0`)
	p.expect(`time() - okteto_sync_last_sync_timestamp_seconds{folder="okteto-1"} < 600`)

	// A save, and the time it took.
	write(t, filepath.Join(laptop, "save"), "saved")
	e.inPod("/src/save", "saved")
	p.expect(`sum(okteto_sync_propagation_seconds_count{direction="in"}) >= 1`)

	// A conflict: edits on both sides while apart, the laptop's later.
	c.down()
	p.expect(`okteto_sync_connected == 0`)
	e.sh("echo in the pod >/src/both")
	e.eventually("the pod's edit is indexed", func(ctx context.Context) error {
		if _, err := p.query(ctx, `okteto_sync_peer_needed_items{folder="okteto-1"} > 0`); err == nil {
			return nil
		}
		_, err := p.query(ctx, `okteto_sync_bytes{folder="okteto-1"} > 0`)
		return err
	})
	write(t, filepath.Join(laptop, "both"), "on the laptop, and later")
	c = e.reconnect(home, []string{laptop})
	e.inPod("/src/both", "on the laptop, and later")
	p.expect(`okteto_sync_conflicts_total{folder="okteto-1"} == 1`)
	c.down()

	// A crash.
	p.expect(`okteto_service_restarts_total{service="okteto-remote"} == 0`)
	e.sh("kill -9 " + e.agent(contract.RemoteBinary))
	p.expect(`okteto_service_restarts_total{service="okteto-remote"} == 1`)
	p.expect(`sum(okteto_service_exits_total{service="okteto-remote"}) == 1`)
	p.expect(`okteto_service_restarts_total{service="syncthing"} == 0`)
	p.expect(`okteto_sync_connects_total >= 2 and okteto_sync_connects_total == okteto_sync_disconnects_total`)
	p.expect(`okteto_service_last_exit_reason{service="okteto-remote",reason="signal"} == 1`)
	p.expect(`okteto_service_ready{service="okteto-remote"} == 1`)

	// Memory runs out, and the engine is the one to go.
	e.sh("echo 1000 >/proc/" + e.agent(contract.SyncthingBinary) + "/oom_score_adj")
	_, _ = e.exec("", contract.Busybox, "dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1")
	e.eventually("the kill is told", func(ctx context.Context) error {
		_, err := p.query(ctx, `okteto_service_exits_total{service="syncthing",reason="oom"} >= 1`)
		if err != nil && e.killedAsGroup(ctx) {
			return nil
		}
		return err
	})
	p.expect(`okteto_service_ready{service="syncthing"} == 1`)
}

// agent is the pid of an agent in the pod.
func (e *environment) agent(binary string) string {
	e.Helper()
	return strings.TrimSpace(e.sh(`for p in /proc/[0-9]*; do [ "$(` + contract.Busybox + ` readlink $p/exe)" = ` +
		contract.BinDir + "/" + binary + ` ] && echo ${p#/proc/}; done; :`))
}

// killedAsGroup: with cgroup v2 the kubelet has the kernel kill the whole
// container (memory.oom.group), which Kubernetes itself then tells.
func (e *environment) killedAsGroup(ctx context.Context) bool {
	pod, err := e.Client.CoreV1().Pods(e.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	for _, s := range pod.Status.ContainerStatuses {
		for _, state := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if state != nil && state.Reason == "OOMKilled" {
				return true
			}
		}
	}
	return false
}
