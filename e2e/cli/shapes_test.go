//go:build e2e

package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// restrictedPod is what the Pod Security Standard "restricted" asks for.
const restrictedPod = `
      securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: main
          image: okteto/devbase:dev
          imagePullPolicy: IfNotPresent
          command: [sleep, infinity]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

const plainPod = `
      containers:
        - name: main
          image: okteto/devbase:dev
          imagePullPolicy: IfNotPresent
          command: [sleep, infinity]
`

func workloadYAML(kind, name, extra, pod string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: %s\nmetadata: {name: %s}\nspec:\n  replicas: 1\n"+
		"  selector: {matchLabels: {app: %[2]s}}\n%[3]s  template:\n    metadata: {labels: {app: %[2]s}}\n    spec:%[4]s", kind, name, extra, pod)
}

const claim = `  serviceName: shape
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 100Mi}}}
`

// TestShapes lives a whole life with workloads of every shape: files go both ways,
// commands run as who they should, and at the end all is as it was.
func TestShapes(t *testing.T) {
	for _, shape := range []struct {
		name     string
		labels   map[string]string
		objects  []string
		manifest string
		folders  map[string]string // on the laptop, with their places in the pod
		check    string            // a command that must say ok
	}{
		{
			name: "restricted", labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
			objects:  []string{workloadYAML("Deployment", "shape", "", restrictedPod)},
			manifest: "persistentVolume: {enabled: true}\nsync: [\".:/home/dev/app\"]\nworkdir: /home/dev/app\n",
			folders:  map[string]string{".": "/home/dev/app"},
			check:    `test "$(id -u)" = 1000 && grep -q 'NoNewPrivs:.1' /proc/self/status && echo ok`,
		},
		{
			name:     "stateful",
			objects:  []string{workloadYAML("StatefulSet", "shape", claim, strings.Replace(plainPod, "command:", "volumeMounts: [{name: data, mountPath: /data}]\n          command:", 1))},
			manifest: "sync: [\".:/app\"]\nworkdir: /app\n",
			folders:  map[string]string{".": "/app"},
			check:    `grep -q ' /data ' /proc/mounts && echo ok`,
		},
		{
			name: "folders and a service",
			objects: []string{
				workloadYAML("Deployment", "shape", "", plainPod),
				workloadYAML("Deployment", "worker", "", plainPod),
			},
			manifest: "persistentVolume: {enabled: true}\nsync: [\"one:/one\", \"two:/two\"]\nworkdir: /one\n" +
				"services:\n  - name: worker\n    command: [\"sleep\", \"infinity\"]\n    sync: [\"one:/code\"]\n",
			folders: map[string]string{"one": "/one", "two": "/two"},
			check:   `test "$(pwd)" = /one && echo ok`,
		},
	} {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t, shape.labels)
			for i, object := range shape.objects {
				path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yml", i))
				if err := os.WriteFile(path, []byte(object), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := h.Apply(t.Context(), h.Namespace, path); err != nil {
					t.Fatal(err)
				}
			}
			manifest := "name: shape\nimage: okteto/devbase:dev\nimagePullPolicy: IfNotPresent\n" + shape.manifest
			if err := os.WriteFile(filepath.Join(h.Dir, contract.ManifestFile), []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			for folder := range shape.folders {
				if err := os.MkdirAll(filepath.Join(h.Dir, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			live(t, h, shape.folders, shape.check)
		})
	}
}

func live(t *testing.T, h *harness.Test, folders map[string]string, check string) {
	t.Helper()
	before := specs(t, h)
	h.MustOkteto("up", "--detach")
	if out := h.MustOkteto("exec", "--", "sh", "-c", check); out != "ok\n" {
		t.Errorf("%s says %q", check, out)
	}
	for folder, place := range folders {
		if err := os.WriteFile(filepath.Join(h.Dir, folder, "of-the-laptop"), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the laptop's file in "+place, func(ctx context.Context) error {
			result, err := h.CLI.Run(ctx, nil, "exec", "--", "cat", place+"/of-the-laptop")
			if err == nil && result.Stdout != "1" {
				err = fmt.Errorf("%q, %s", result.Stdout, result.Stderr)
			}
			return err
		})
		h.MustOkteto("exec", "--", "sh", "-c", "printf 2 > "+place+"/of-the-pod")
		h.Eventually("the pod's file in "+folder, func(context.Context) error {
			content, err := os.ReadFile(filepath.Join(h.Dir, folder, "of-the-pod"))
			if err == nil && string(content) != "2" {
				err = fmt.Errorf("it holds %q", content)
			}
			return err
		})
	}
	h.MustOkteto("down", "--volumes", "--wait")
	if diff := cmp.Diff(before, specs(t, h)); diff != "" {
		t.Errorf("after down it is not as before:\n%s", diff)
	}
}

// specs are the workloads of the namespace, to compare.
func specs(t *testing.T, h *harness.Test) map[string]any {
	t.Helper()
	deployments, err := h.Client.AppsV1().Deployments(h.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sets, err := h.Client.AppsV1().StatefulSets(h.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, d := range deployments.Items {
		all["Deployment "+d.Name] = []any{d.Labels, d.Spec}
	}
	for _, s := range sets.Items {
		all["StatefulSet "+s.Name] = []any{s.Labels, s.Spec}
	}
	return all
}
