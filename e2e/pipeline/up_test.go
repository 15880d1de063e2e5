//go:build e2e

package pipeline

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"okteto/e2e/harness"
)

// TestPipelineDev puts a workload that a pipeline deployed into development mode,
// by a manifest that the pipeline lists.
func TestPipelineDev(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := harness.CopyTree(s.Dir, filepath.Join(s.Root, "e2e", "samples", "api")); err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s.write(map[string]string{
		"okteto.yml": fmt.Sprintf(`name: api
image: okteto/devbase:dev
imagePullPolicy: IfNotPresent
workdir: /app
sync: [".:/app"]
forward: ["%d:8080"]
persistentVolume: {enabled: false}
`, port),
		"okteto-pipeline.yml": "deploy: [kubectl apply -f k8s.yml]\ndevs: [okteto.yml]\n",
	})
	before := s.objects()
	result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "--wait")
	if result.Code != 0 || !strings.Contains(result.Stderr, "okteto up -f okteto.yml") {
		t.Fatalf("exit code %d: %s", result.Code, result.Stderr)
	}
	s.MustOkteto("up", "-f", "okteto.yml", "--detach")
	if out := s.MustOkteto("exec", "--", "cat", "okteto-pipeline.yml"); !strings.Contains(out, "kubectl apply") {
		t.Errorf("the container has %q", out)
	}
	if again := s.Okteto(nil, "pipeline", "deploy", "--name", name); again.Code != 0 {
		t.Errorf("a deploy during up: exit code %d: %s", again.Code, again.Stderr)
	}
	s.MustOkteto("down")
	s.MustOkteto("pipeline", "destroy", "--name", name)
	if after := s.objects(); !slices.Equal(after, before) {
		t.Errorf("after the destroy there are %v, want %v", after, before)
	}
}
