//go:build e2e

package pipeline

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const name = "shop"

// record is what `okteto pipeline status -o json` prints.
type record struct {
	Name, Status, Message, Log, Commit, Branch, Repository string
	Variables                                              []struct{ Name, Value string }
}

func (s *stage) status() record {
	s.Helper()
	var r record
	if err := json.Unmarshal([]byte(s.MustOkteto("pipeline", "status", name, "-o", "json")), &r); err != nil {
		s.Fatal(err)
	}
	return r
}

// objects of the namespace that people make, by kind and name.
func (s *stage) objects() []string {
	s.Helper()
	kinds := "deployments,statefulsets,jobs,services,configmaps,secrets,persistentvolumeclaims,serviceaccounts,roles,rolebindings,ingresses"
	found := strings.Fields(s.kubectl("get", kinds, "-o", "name"))
	slices.Sort(found)
	return found
}

// shop is a repository whose pipeline builds an image, applies objects and
// installs a chart.
func (s *stage) shop() {
	s.Helper()
	s.copyBusybox()
	s.write(map[string]string{
		"Dockerfile":    baseDockerfile + "ARG TEXT\nRUN echo $TEXT > /text\nCMD [\"sh\", \"-c\", \"cat /text; sleep 3600\"]\n",
		".dockerignore": "*\n!busybox\n",
		"okteto-pipeline.yml": `icon: https://example.com/icon.png
deploy:
  - name: image
    command: |
      set -e
      ref=$(okteto build --progress plain --build-arg TEXT=$TEXT -t okteto.dev/shop:$OKTETO_GIT_COMMIT .)
      sed "s|IMAGE|$ref|" shop.yml > applied.yml
  - kubectl apply -f applied.yml
  - kubectl label configmap before touched=yes --overwrite
  - helm upgrade --install cart chart --set text=$TEXT
  - helm upgrade --install older chart --set text=$TEXT
destroy:
  - echo goodbye from $OKTETO_NAMESPACE
`,
		"shop.yml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: shop, image: "IMAGE"}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: stock}
spec:
  serviceName: stock
  selector: {matchLabels: {app: stock}}
  template:
    metadata: {labels: {app: stock}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: stock, image: "IMAGE", volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`,
		"chart/Chart.yaml": "apiVersion: v2\nname: cart\nversion: 0.1.0\n",
		"chart/templates/all.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {text: "{{ .Values.text }}"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: "{{ .Release.Name }}-data"}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`,
	})
	s.git("init", "--quiet", "--initial-branch", "main")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "shop")
}

func (s *stage) git(args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "git", args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestPipeline deploys, deploys again, changes, and destroys: what was there
// before is there after, and nothing else.
func TestPipeline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.buildkit()
	s.shop()
	if err := s.Create(t.Context(), s.CLI.Namespace, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "before"}}); err != nil {
		t.Fatal(err)
	}
	helm := exec.Command("helm", "install", "older", filepath.Join(s.Dir, "chart"), "--set", "text=before", "--kubeconfig", s.CLI.Kubeconfig, "-n", s.CLI.Namespace)
	if out, err := helm.CombinedOutput(); err != nil {
		t.Fatalf("helm install: %v: %s", err, out)
	}
	before := s.objects()
	deploy := func(text string) {
		s.MustOkteto("pipeline", "deploy", "--name", name, "--wait", "-v", "TEXT="+text, "-v", "API_TOKEN="+secret)
		if out := s.kubectl("logs", "deployment/shop"); out != text+"\n" {
			t.Errorf("the application says %q, want %q", out, text)
		}
		if out := s.kubectl("get", "configmap", "cart", "-o", "jsonpath={.data.text}"); out != text {
			t.Errorf("the chart has %q, want %q", out, text)
		}
	}
	deploy("one")
	uid := s.kubectl("get", "deployment", "shop", "-o", "jsonpath={.metadata.uid}")
	deploy("one")
	deploy("two")
	if again := s.kubectl("get", "deployment", "shop", "-o", "jsonpath={.metadata.uid}"); again != uid {
		t.Error("the deployment was made anew")
	}

	t.Run("status", func(t *testing.T) {
		r := s.status()
		if r.Status != "deployed" || r.Branch != "main" || r.Commit != s.git("rev-parse", "HEAD") {
			t.Errorf("status %+v", r)
		}
		if len(r.Variables) != 1 || r.Variables[0].Name != "TEXT" || r.Variables[0].Value != "two" {
			t.Errorf("recorded variables %v, want TEXT alone", r.Variables)
		}
		if out := s.MustOkteto("pipeline", "list"); !strings.Contains(out, name) || !strings.Contains(out, "deployed") {
			t.Errorf("list: %s", out)
		}
	})
	t.Run("skip if exists", func(t *testing.T) {
		result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "--skip-if-exists", "-v", "TEXT=three")
		if result.Code != 0 || !strings.Contains(result.Stderr, "deployed already") {
			t.Errorf("exit code %d: %s", result.Code, result.Stderr)
		}
	})

	if out := s.MustOkteto("pipeline", "destroy", "--name", name); !strings.Contains(out, "goodbye from "+s.CLI.Namespace) {
		t.Errorf("the destroy command says %q", out)
	}
	kept := append([]string{"persistentvolumeclaim/data-stock-0", "persistentvolumeclaim/cart-data"}, before...)
	slices.Sort(kept)
	s.left(t, kept, "destroy")
	s.MustOkteto("pipeline", "destroy", "--name", name, "--volumes")
	s.left(t, before, "destroy --volumes")
	s.MustOkteto("pipeline", "destroy", "--name", name, "--volumes")
	if r := s.kubectl("get", "configmap", "before", "-o", "jsonpath={.metadata.labels}"); r != `{"touched":"yes"}` {
		t.Errorf("the ConfigMap that was there before has labels %s", r)
	}
}

// left compares what is there with what should be; further revisions of a
// release that was there before are its own.
func (s *stage) left(t *testing.T, want []string, after string) {
	t.Helper()
	got := slices.DeleteFunc(s.objects(), func(o string) bool {
		return strings.HasPrefix(o, "secret/sh.helm.release.v1.older.v") && !slices.Contains(want, o)
	})
	if !slices.Equal(got, want) {
		t.Errorf("after %s there are\n%s\nwant\n%s", after, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPipelineFailure: the first command that fails ends the deploy with its exit
// code; the record says why.
func TestPipelineFailure(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"okteto-pipeline.yml": `deploy:
  - kubectl create configmap made
  - name: the bad one
    command: echo token $API_TOKEN; exit 23
  - touch never
destroy:
  - echo once >> destroyed
  - test -e allowed
`})
	result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "-v", "API_TOKEN="+secret)
	if result.Code != 23 || !strings.Contains(result.Stderr, `command "the bad one" failed with exit code 23`) {
		t.Errorf("exit code %d, want 23: %s", result.Code, result.Stderr)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "never")); err == nil {
		t.Error("a command ran after the one that failed")
	}
	r := s.status()
	if r.Status != "error" || !strings.Contains(r.Message, "the bad one") || !strings.Contains(r.Log, "token ***") {
		t.Errorf("recorded: %+v", r)
	}
	if raw := s.kubectl("get", "configmap", "okteto-git-"+name, "-o", "yaml"); strings.Contains(raw, secret) {
		t.Error("the record holds the secret")
	}

	// A destroy that fails goes on where it stopped.
	if result := s.Okteto(nil, "pipeline", "destroy", "--name", name); result.Code != 1 {
		t.Errorf("a destroy whose command fails: exit code %d, want 1: %s", result.Code, result.Stderr)
	}
	if s.status().Status != "destroying" || !slices.Contains(s.objects(), "configmap/made") {
		t.Errorf("after a failed destroy: %+v, %v", s.status(), s.objects())
	}
	s.write(map[string]string{"allowed": ""})
	s.MustOkteto("pipeline", "destroy", "--name", name)
	if content, err := os.ReadFile(filepath.Join(s.Dir, "destroyed")); err != nil || string(content) != "once\n" {
		t.Errorf("the first destroy command left %q, error %v; want one run", content, err)
	}
	if left := s.kubectl("get", "configmap", "-o", "name"); left != "configmap/kube-root-ca.crt\n" {
		t.Errorf("after the destroy there are %s", left)
	}
}

// TestPipelineBadInput: what is wrong is said before anything is done.
func TestPipelineBadInput(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Env = append(s.Env, "GIT_TERMINAL_PROMPT=0")
	for want, file := range map[string]string{
		"okteto-pipeline.yml:2:1: unknown key":    "deploy: [touch done]\nbuild: []\n",
		"devs: api.yml cannot be used":            "deploy: [touch done]\ndevs: [api.yml]\n",
		"kustomize is not installed, and is need": "deploy: [touch done, kustomize build]\n",
		"has no deploy commands":                  "destroy: [touch done]\n",
	} {
		s.write(map[string]string{"okteto-pipeline.yml": file})
		result := s.Okteto(nil, "pipeline", "deploy", "--name", name)
		if result.Code != 1 || !strings.Contains(result.Stderr, want) {
			t.Errorf("exit code %d, want 1 and %q: %s", result.Code, want, result.Stderr)
		}
	}
	result := s.Okteto(nil, "pipeline", "deploy", "-r", filepath.Join(s.Dir, "nothing"))
	if result.Code != 1 || !strings.Contains(result.Stderr, "cannot clone") {
		t.Errorf("a repository that is not there: exit code %d: %s", result.Code, result.Stderr)
	}
	if left := s.kubectl("get", "configmap", "-o", "name"); left != "configmap/kube-root-ca.crt\n" {
		t.Errorf("after failed deploys there are %s", left)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "done")); err == nil {
		t.Error("a command ran")
	}
}
