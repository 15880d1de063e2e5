//go:build e2e

package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	baseDockerfile = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PATH=/bin
`
	appDockerfile = `ARG BASE
FROM ${BASE} AS first
RUN echo first > /stage
FROM first
ARG GREETING=none
RUN echo "hello $GREETING" > /greeting
RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length
COPY . /context
CMD ["sh", "-c", "cat /greeting /length; ls /context"]
`
	secret = "not-for-the-image-5309"
)

// base builds and pushes a base image, by the builder of the namespace.
func (s *stage) base() string {
	s.Helper()
	s.copyBusybox()
	s.write(map[string]string{"base.Dockerfile": baseDockerfile})
	s.MustOkteto("build", "--progress", "plain", "-f", filepath.Join(s.Dir, "base.Dockerfile"), "-t", "okteto.dev/base:1")
	if err := os.Remove(filepath.Join(s.Dir, "busybox")); err != nil {
		s.Fatal(err)
	}
	return s.registry + "/" + s.CLI.Namespace + "/base:1"
}

// TestBuildInCluster builds with the builder that the first build starts.
func TestBuildInCluster(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	base := s.base()
	s.write(map[string]string{
		"Dockerfile": appDockerfile, "kept.txt": "kept", "ignored.txt": "ignored", ".dockerignore": "ignored.txt\n*Dockerfile\n.dockerignore\n",
	})
	s.Env = append(s.Env, "TOKEN="+secret)
	build := []string{
		"build", "--progress", "plain", "--build-arg", "BASE=" + base, "--build-arg", "GREETING=world",
		"--secret", "id=token,env=TOKEN", "-t", "okteto.dev/app:1", "-t", "okteto.dev/app:2",
	}
	first := s.MustOkteto(build...)
	repository := s.CLI.Namespace + "/app"
	if want := s.registry + "/" + repository + "@sha256:"; !strings.HasPrefix(first, want) {
		t.Fatalf("build prints %q, want %s…", first, want)
	}

	t.Run("builder", s.builderIsBounded)
	t.Run("names", func(t *testing.T) {
		if !bytes.Equal(s.get("v2/"+repository+"/manifests/1"), s.get("v2/"+repository+"/manifests/"+digestOf(first))) ||
			!bytes.Equal(s.get("v2/"+repository+"/manifests/1"), s.get("v2/"+repository+"/manifests/2")) {
			t.Error("the two tags and the printed digest are not the same image")
		}
	})
	t.Run("secret", func(t *testing.T) {
		all := s.contents(repository, "1")
		if bytes.Contains(all, []byte(secret)) {
			t.Error("the image or its history holds the secret")
		}
		if !bytes.Contains(all, []byte("hello world")) {
			t.Error("the image does not hold what the build made: the search for the secret proves nothing")
		}
	})
	t.Run("cache", func(t *testing.T) {
		result := s.Okteto(nil, append(build, "-o", "json")...)
		var again struct {
			Digest, Ref string
			Tags        []string
		}
		if err := json.Unmarshal([]byte(result.Stdout), &again); err != nil {
			t.Fatalf("%v: %s%s", err, result.Stdout, result.Stderr)
		}
		if again.Digest != digestOf(first) || again.Ref != strings.TrimSpace(first) || len(again.Tags) != 2 {
			t.Errorf("the second build gives %+v, the first gave %s", again, first)
		}
		if n := strings.Count(result.Stderr, "CACHED"); n < 4 {
			t.Errorf("%d steps are from the cache, want 4:\n%s", n, result.Stderr)
		}
	})
	t.Run("target", func(t *testing.T) {
		s.MustOkteto("build", "--target", "first", "--build-arg", "BASE="+base, "-t", "okteto.dev/first")
		all := s.contents(s.CLI.Namespace+"/first", "latest")
		if bytes.Contains(all, []byte("hello none")) || !bytes.Contains(all, []byte("first\n")) {
			t.Error("the image is not that of the first stage")
		}
	})
	t.Run("output", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		s.MustOkteto("build", "--build-arg", "BASE="+base, "--secret", "id=token,env=TOKEN", "--output", "type=local,dest="+dir)
		files, err := filepath.Glob(filepath.Join(dir, "context", "*"))
		if err != nil || len(files) != 1 || filepath.Base(files[0]) != "kept.txt" {
			t.Errorf("the context arrived as %v, error %v; want kept.txt", files, err)
		}
	})
	t.Run("failure", func(t *testing.T) { s.failures(t, base) })
	t.Run("prune", func(t *testing.T) {
		s.MustOkteto("build", "--prune")
		if left := s.kubectl("get", "all,pvc,secret,configmap", "-l", "dev.okteto.com/builder", "-o", "name"); left != "" {
			t.Errorf("after --prune there are still: %s", left)
		}
		s.MustOkteto("build", "--prune")
	})
}

// builderIsBounded looks at what the first build started.
func (s *stage) builderIsBounded(t *testing.T) {
	pod := s.kubectl("get", "pods", "-l", "dev.okteto.com/builder", "-o",
		"jsonpath={range .items[*].spec}{.containers[*].image} {.containers[*].resources.limits.cpu} {.containers[*].resources.limits.memory} {.automountServiceAccountToken} {.volumes[?(@.name==\"cache\")].persistentVolumeClaim.claimName}{end}")
	if want := image + " 4 4Gi false okteto-builder"; pod != want {
		t.Errorf("the builder's pod has %q, want %q", pod, want)
	}
	if size := s.kubectl("get", "pvc", "okteto-builder", "-o", "jsonpath={.spec.resources.requests.storage}"); size != "2Gi" {
		t.Errorf("its cache has %s, want 2Gi", size)
	}
}

func (s *stage) failures(t *testing.T, base string) {
	s.write(map[string]string{"bad.Dockerfile": "FROM " + base + "\nRUN true\nRUN echo to the log && exit 7\n", "worse.Dockerfile": "FROM " + base + "\nRAN true\n"})
	result := s.Okteto(nil, "build", "-f", filepath.Join(s.Dir, "bad.Dockerfile"))
	for _, want := range []string{"bad.Dockerfile:3", ">>> RUN echo to the log && exit 7", "exit code: 7", "to the log"} {
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("a failing step does not tell %q:\n%s", want, result.Stderr)
		}
	}
	if result.Code != 1 || result.Stdout != "" {
		t.Errorf("a failing step: exit code %d, want 1; stdout %q", result.Code, result.Stdout)
	}
	result = s.Okteto(nil, "build", "-f", filepath.Join(s.Dir, "worse.Dockerfile"))
	if result.Code != 1 || !strings.Contains(result.Stderr, "worse.Dockerfile:2") {
		t.Errorf("a wrong Dockerfile: exit code %d\n%s", result.Code, result.Stderr)
	}
	s.Env = append(s.Env, "OKTETO_REGISTRY_URL=")
	result = s.Okteto(nil, "build", "-t", "okteto.dev/x", "-f", filepath.Join(s.Dir, "bad.Dockerfile"))
	if result.Code != 1 || !strings.Contains(result.Stderr, "OKTETO_REGISTRY_URL") {
		t.Errorf("without a registry: exit code %d\n%s", result.Code, result.Stderr)
	}
}

// TestBuildIsPulledByTheNode pushes to a registry under the name that the node's
// runtime knows it by, and runs the printed name.
func TestBuildIsPulledByTheNode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.buildkit()
	s.copyBusybox()
	s.write(map[string]string{"Dockerfile": baseDockerfile + "CMD [\"echo\", \"from the registry\"]\n", ".dockerignore": "*\n!busybox\n"})
	ref := strings.TrimSpace(s.MustOkteto("build", "-t", "okteto.dev/pulled"))
	s.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pulled"},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{
			Name: "pulled", Image: ref, ImagePullPolicy: corev1.PullAlways,
		}}},
	})
	s.Eventually("the end of the pod", func(ctx context.Context) error {
		pod, err := s.Client.CoreV1().Pods(s.CLI.Namespace).Get(ctx, "pulled", metav1.GetOptions{})
		if err == nil && pod.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("phase %s, %v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		return err
	})
	if out := s.kubectl("logs", "pulled"); out != "from the registry\n" {
		t.Errorf("the pod says %q", out)
	}
}

// TestBuildSendsWhatChanged sends 200 MB, and then one file of them.
func TestBuildSendsWhatChanged(t *testing.T) {
	t.Parallel()
	const files, size = 200, 1 << 20
	s := newStage(t)
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY data /data\n"})
	if err := os.Mkdir(filepath.Join(s.Dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	fill := func(i int) {
		content := make([]byte, size)
		rand.Read(content) // never fails: crypto/rand
		if err := os.WriteFile(filepath.Join(s.Dir, "data", fmt.Sprint(i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		fill(i)
	}
	if sent := s.sent(); sent < files*size {
		t.Errorf("the first build sends %d bytes, want at least %d", sent, files*size)
	}
	fill(7)
	if sent := s.sent(); sent < size || sent > 2*size {
		t.Errorf("after a change of %d bytes, %d are sent", size, sent)
	}
	if sent := s.sent(); sent > size/10 {
		t.Errorf("without a change, %d bytes are sent", sent)
	}
}

// sent builds and returns how many bytes of the context were sent.
func (s *stage) sent() int64 {
	s.Helper()
	result := s.Okteto(nil, "build", "--progress", "json")
	if result.Code != 0 {
		s.Fatalf("build: exit code %d\n%s", result.Code, result.Stderr)
	}
	var most int64
	for line := range strings.Lines(result.Stderr) {
		var status struct {
			Statuses []struct {
				ID      string `json:"id"`
				Current int64  `json:"current"`
			} `json:"statuses"`
		}
		if json.Unmarshal([]byte(line), &status) != nil {
			continue // the line about the builder's start
		}
		for _, s := range status.Statuses {
			if strings.HasPrefix(s.ID, "transferring context") {
				most = max(most, s.Current)
			}
		}
	}
	return most
}
