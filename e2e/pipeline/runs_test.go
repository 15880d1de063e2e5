//go:build e2e

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"okteto/e2e/harness"
)

// waits is a pipeline whose command goes on when the file go is there.
const waits = `deploy:
  - echo begin >> order; until [ -e go ]; do sleep 0.1; done; echo end >> order
`

// TestPipelineTwice: a second deploy says who is deploying, and waits.
func TestPipelineTwice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"okteto-pipeline.yml": waits})
	first := s.background("pipeline", "deploy", "--name", name)
	s.Eventually("the first to run", s.exists("order"))
	result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "--timeout", "2s")
	if result.Code != 1 || !strings.Contains(result.Stderr, "is deploying pipeline "+name+" since") {
		t.Errorf("a deploy that does not wait: exit code %d: %s", result.Code, result.Stderr)
	}
	second := s.background("pipeline", "deploy", "--name", name)
	s.says(second, "waiting")
	s.write(map[string]string{"go": ""})
	if a, b := s.code(first), s.code(second); a != 0 || b != 0 {
		t.Fatalf("exit codes %d and %d\n%s\n%s", a, b, first.output, second.output)
	}
	if order, err := os.ReadFile(filepath.Join(s.Dir, "order")); err != nil || string(order) != "begin\nend\nbegin\nend\n" {
		t.Errorf("the commands ran in the order %q, error %v", order, err)
	}
}

func (s *stage) exists(file string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(filepath.Join(s.Dir, file))
		return err
	}
}

// TestPipelineRecordTouched: a record that someone labels meanwhile is still the
// run's, also for its last write.
func TestPipelineRecordTouched(t *testing.T) {
	t.Parallel()
	s := &stage{Test: harness.New(t, nil)}
	s.write(map[string]string{"okteto-pipeline.yml": "deploy: [kubectl label configmap okteto-git-" + name + " touched=yes]\ndestroy: [kubectl label configmap okteto-git-" + name + " touched=again --overwrite]\n"})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	if r := s.status(); r.Status != "deployed" {
		t.Errorf("recorded: %+v", r)
	}
	if label := s.kubectl("get", "configmap", "okteto-git-"+name, "-o", "jsonpath={.metadata.labels.touched}"); label != "yes" {
		t.Errorf("the label is %q", label)
	}
	s.MustOkteto("pipeline", "destroy", "--name", name)
}

// TestPipelineInterrupted: Ctrl-C ends the commands and is recorded, and so is
// the end of a deploy that was killed, once another one comes.
func TestPipelineInterrupted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Env = append(s.Env, "TMPDIR="+t.TempDir()) // what the killed one leaves goes with the test
	s.write(map[string]string{"okteto-pipeline.yml": "deploy:\n  - echo $$ > pid; kubectl create configmap made; sleep 1000 & echo $! > child; wait\n"})
	b := s.background("pipeline", "deploy", "--name", name)
	s.Eventually("the command to run", s.exists("child"))
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.code(b); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, b.output)
	}
	if r := s.status(); r.Status != "error" || r.Message != "interrupted" {
		t.Errorf("recorded: %+v", r)
	}
	for _, file := range []string{"pid", "child"} {
		// Killed it is at once; gone when its new parent has noticed.
		s.Eventually("the end of the process in "+file, func(context.Context) error {
			if s.alive(file) {
				return fmt.Errorf("it runs")
			}
			return nil
		})
	}

	s.write(map[string]string{"okteto-pipeline.yml": waits})
	killed := s.background("pipeline", "deploy", "--name", name)
	s.Eventually("the command to run", s.exists("order"))
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.code(killed)
	s.write(map[string]string{"go": ""}) // so that its command ends too
	s.MustOkteto("pipeline", "destroy", "--name", name)
	if left := s.kubectl("get", "configmap", "-o", "name"); left != "configmap/kube-root-ca.crt\n" {
		t.Errorf("after the destroy there are %s", left)
	}
}

// alive reports whether the process whose id is in a file runs.
func (s *stage) alive(file string) bool {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.Dir, file))
	if err != nil {
		s.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(content), &pid); err != nil {
		s.Fatal(err)
	}
	return syscall.Kill(pid, 0) == nil
}

// TestPipelineCredentials: the commands see a credential of the run alone.
func TestPipelineCredentials(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"okteto-pipeline.yml": "deploy:\n  - cp $KUBECONFIG seen; kubectl get configmaps; kubectl exec registry -- echo through the proxy\n"})
	out := s.MustOkteto("pipeline", "deploy", "--name", name)
	if !strings.Contains(out, "kube-root-ca.crt") || !strings.Contains(out, "through the proxy") {
		t.Errorf("the commands print %s", out)
	}
	seen, err := clientcmd.LoadFromFile(filepath.Join(s.Dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := clientcmd.LoadFromFile(s.CLI.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range seen.Clusters {
		for _, real := range own.Clusters {
			if cluster.Server == real.Server || !strings.HasPrefix(cluster.Server, "https://127.0.0.1:") {
				t.Errorf("the commands' server is %s", cluster.Server)
			}
		}
	}
	for _, user := range seen.AuthInfos {
		if len(user.ClientKeyData) > 0 || user.Exec != nil || user.Token == "" {
			t.Error("the commands see more than the run's token")
		}
	}
	if err := exec.Command("kubectl", "--kubeconfig", filepath.Join(s.Dir, "seen"), "get", "configmaps").Run(); err == nil {
		t.Error("the run's credential is of use after the run")
	}
}

// TestPipelineBuilds: a build of a pipeline reaches the builder in the cluster by
// the run's credential, and the builder is not the pipeline's.
func TestPipelineBuilds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{
		"Dockerfile":          "FROM scratch\nCOPY Dockerfile /\n",
		"okteto-pipeline.yml": "deploy:\n  - test ! -e ~/.kube/config\n  - okteto build --progress plain -t okteto.dev/app:1 . > ref\n  - kubectl create configmap made --from-file ref\n",
	})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	ref, err := os.ReadFile(filepath.Join(s.Dir, "ref"))
	if err != nil {
		t.Fatal(err)
	}
	s.get("v2/" + s.CLI.Namespace + "/app/manifests/" + digestOf(string(ref)))
	s.MustOkteto("pipeline", "destroy", "--name", name, "--volumes")
	s.gone("configmap/made")
	s.kubectl("get", "job/okteto-builder", "pvc/okteto-builder", "secret/okteto-builder")
	s.MustOkteto("build", "--prune")
}

// gated is a Deployment whose pod is not scheduled, and once is a Job that fails.
const (
	gated = `apiVersion: apps/v1
kind: Deployment
metadata: {name: gated}
spec:
  selector: {matchLabels: {app: gated}}
  template:
    metadata: {labels: {app: gated}}
    spec: {schedulingGates: [{name: example.com/test}], containers: [{name: gated, image: none}]}
`
	once = `apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: once, image: "IMAGE", command: ["false"]}]}
`
)

// TestPipelineWaits: --wait says why something does not become available, and
// what was deployed stays.
func TestPipelineWaits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"gated.yml": gated, "once.yml": strings.Replace(once, "IMAGE", image, 1), "okteto-pipeline.yml": "deploy: [kubectl apply -f gated.yml]\n"})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	s.Eventually("the pod", func(context.Context) error {
		if s.kubectl("get", "pods", "-l", "app=gated", "-o", "name") == "" {
			return errors.New("there is none")
		}
		return nil
	})
	s.write(map[string]string{"okteto-pipeline.yml": "deploy: [echo nothing new]\n"})
	result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "--wait", "--timeout", "10s")
	for _, want := range []string{"not everything that was deployed is available after 10s", "deployment/gated: 0 of 1 replicas available", "SchedulingGated"} {
		if result.Code != 1 || !strings.Contains(result.Stderr, want) {
			t.Errorf("exit code %d, want 1 and %q: %s", result.Code, want, result.Stderr)
		}
	}
	if r := s.status(); r.Status != "error" || !strings.Contains(r.Message, "not everything") {
		t.Errorf("recorded: %+v", r)
	}
	s.write(map[string]string{"okteto-pipeline.yml": "deploy: [kubectl apply -f once.yml]\n"})
	result = s.Okteto(nil, "pipeline", "deploy", "--name", name, "--wait")
	if result.Code != 1 || !strings.Contains(result.Stderr, "job/once: failed") {
		t.Errorf("a Job that fails: exit code %d: %s", result.Code, result.Stderr)
	}
	s.MustOkteto("pipeline", "destroy", "--name", name)
	s.gone("deployment/gated", "job/once")
}

// TestPipelineDestroyInterrupted: a destroy that is interrupted, and one that is
// killed, are finished by the next, which repeats no command that was done.
func TestPipelineDestroyInterrupted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Env = append(s.Env, "TMPDIR="+t.TempDir()) // what the killed one leaves goes with the test
	s.write(map[string]string{"okteto-pipeline.yml": `deploy:
  - kubectl create configmap made
destroy:
  - echo first >> order
  - touch waits; until [ -e go ]; do sleep 0.1; done; echo second >> order
  - echo third >> order
`})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	for _, end := range []os.Signal{os.Interrupt, os.Kill} {
		if err := os.RemoveAll(filepath.Join(s.Dir, "waits")); err != nil {
			t.Fatal(err)
		}
		b := s.background("pipeline", "destroy", "--name", name)
		s.Eventually("the second command", s.exists("waits"))
		if err := b.cmd.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		if code := s.code(b); end == os.Interrupt && code != 130 {
			t.Errorf("exit code %d, want 130: %s", code, b.output)
		}
		if r := s.status(); r.Status != "destroying" {
			t.Errorf("after %v, recorded: %+v", end, r)
		}
	}
	s.write(map[string]string{"go": ""}) // so that the killed one's command ends, too
	s.Eventually("the end of the killed one's command", s.exists("order"))
	s.Eventually("its line", func(context.Context) error {
		content, err := os.ReadFile(filepath.Join(s.Dir, "order"))
		if err == nil && !strings.Contains(string(content), "second") {
			err = fmt.Errorf("order is %q", content)
		}
		return err
	})
	s.MustOkteto("pipeline", "destroy", "--name", name)
	if order, err := os.ReadFile(filepath.Join(s.Dir, "order")); err != nil || string(order) != "first\nsecond\nsecond\nthird\n" {
		t.Errorf("the commands ran in the order %q, error %v", order, err)
	}
	s.gone("configmap/made", "configmap/okteto-git-"+name)
}
