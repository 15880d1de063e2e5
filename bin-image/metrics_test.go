package binimage_test

import (
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"okteto/bin-image/sandbox"
)

// metricsOf are the samples of the page by name and labels.
func metricsOf(t *testing.T, c *sandbox.Container) map[string]float64 {
	t.Helper()
	status, body, err := c.Get(metricsURL + "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics: %d, %v", status, err)
	}
	samples := map[string]float64{}
	for line := range strings.SplitSeq(body, "\n") {
		if i := strings.LastIndex(line, " "); i > 0 && !strings.HasPrefix(line, "#") {
			if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
				samples[line[:i]] = v
			}
		}
	}
	return samples
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	_, page, err := c.Get(metricsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, page, "check", "metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"okteto_build_info", "okteto_service_up", "okteto_service_ready", "okteto_service_restarts_total",
		"okteto_service_exits_total", "okteto_service_cpu_seconds_total", "okteto_service_resident_memory_bytes",
		"okteto_service_metrics_up", "okteto_orphans_reaped_total",
		"okteto_sync_state", "okteto_sync_connected", "okteto_sync_completion_ratio", "okteto_sync_needed_bytes",
		"okteto_sync_propagation_seconds", "okteto_sync_database_bytes", "okteto_sync_connects_total",
	} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, family := range families {
		if !strings.HasPrefix(name, "okteto_") {
			t.Errorf("%s is not one of ours", name)
		}
		if family.GetHelp() == "" {
			t.Errorf("%s has no help text", name)
		}
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if strings.Contains(l.GetValue(), "/") || l.GetName() == "device" {
					t.Errorf("%s{%s=%q} should not be known outside", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
	for _, service := range []string{"syncthing", "okteto-remote"} {
		if got := metricsOf(t, c)[`okteto_service_metrics_up{service="`+service+`"}`]; got != 1 {
			t.Errorf("metrics of %s cannot be read", service)
		}
	}
}

// TestNothingElseIsServed: only what is meant for the pod network, only to read.
func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/": 404, "/debug/pprof/": 404, "/rest/system/ping": 404, "/metrics/x": 404, "/../etc/passwd": 404,
	} {
		if status, _, err := c.Get(metricsURL + path); err != nil || status != want {
			t.Errorf("%s: %d, %v, want %d", path, status, err, want)
		}
	}
	transport := &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Post(metricsURL+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

// promtool checks text with Debian's promtool, where that is installed.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 && !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
