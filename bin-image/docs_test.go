package binimage_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var familyName = regexp.MustCompile(`okteto_[a-z0-9_]+`)

// notYet are families that show only after something has happened.
var notYet = []string{
	"okteto_service_last_exit_code", "okteto_service_last_exit_timestamp_seconds",
	"okteto_container_memory_limit_bytes", "okteto_sync_folder_stops_total",
	"okteto_container_memory_bytes", "okteto_container_oom_kills_total",
}

// exported are the families of a running pod, without what is made of histograms.
func exported(t *testing.T) []string {
	t.Helper()
	c := pod(t, nil)
	ready(c)
	_, page, err := c.Get(metricsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	families := slices.Clone(notYet)
	for line := range strings.SplitSeq(page, "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" {
			families = append(families, f[2])
		}
	}
	return families
}

// TestDocumentation: every family is documented, and none that does not exist
// is documented, alerted on or drawn.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	families := exported(t)
	manual := read(t, "../docs/operations.md")
	for _, name := range families {
		if !regexp.MustCompile("`" + name + "[`{]").MatchString(manual) {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
	for _, path := range []string{"../docs/operations.md", "../docs/monitoring/alerts.yaml", "../docs/monitoring/dashboard.json"} {
		for _, name := range familyName.FindAllString(read(t, path), -1) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !slices.Contains(families, name) && !slices.Contains(families, base) {
				t.Errorf("%s names %s, which nobody exports", path, name)
			}
		}
	}
	var dashboard struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal([]byte(read(t, "../docs/monitoring/dashboard.json")), &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Errorf("dashboard: %v", err)
	}
}

func TestAlertRules(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = "../docs/monitoring"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
