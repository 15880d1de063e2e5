//go:build e2e

// Package pipeline tests okteto build and okteto pipeline on the cluster, with a
// real BuildKit, a real registry, kubectl and helm.
package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
)

// tools is where the cluster's kubectl, helm and buildctl are; image has
// BuildKit's daemon and a registry; busybox is a static one, for base images.
var tools, image, busybox string

func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func prepare() error {
	c, err := harness.Connect()
	if err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(c.Root, "e2e", "cluster", "buildkit", "image.sh")).Output()
	if err != nil {
		return fmt.Errorf("build the tests' BuildKit and registry: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	image = lines[len(lines)-1]
	tools = filepath.Join(c.Root, ".cluster", "bin")
	busybox = filepath.Join(c.Root, ".cluster", "buildkit", "busybox")
	return os.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// stage is a test with a namespace, a project folder, and a registry in it.
type stage struct {
	*harness.Test
	// registry is its name inside the cluster, node the one for nodes, whose
	// runtime trusts localhost without TLS.
	registry, node string
}

func newStage(t *testing.T) *stage {
	s := &stage{Test: harness.New(t, nil)}
	s.create(s.pod("registry", "registry", "serve", "/etc/registry.yml"))
	s.registry = fmt.Sprintf("registry.%s.svc.cluster.local:5000", s.CLI.Namespace)
	s.node = s.expose("registry")
	config := filepath.Join(t.TempDir(), "buildkitd.toml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("[registry.%q]\n  http = true\n", s.registry)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "OKTETO_BUILDER_IMAGE="+image, "OKTETO_BUILDER_CONFIG="+config,
		"OKTETO_BUILDER_CACHE_SIZE=2Gi", "OKTETO_REGISTRY_URL="+s.registry, "BUILDKIT_HOST=")
	s.ready("registry")
	return s
}

// pod of the tests' image, with an app label of its name.
func (s *stage) pod(name string, command ...string) *corev1.Pod {
	grace := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: command,
			}},
		},
	}
}

// expose makes port 5000 of a pod reachable, and returns its name for nodes.
func (s *stage) expose(name string) string {
	s.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": name},
			Ports: []corev1.ServicePort{{Port: 5000}},
		},
	}
	created, err := s.Client.CoreV1().Services(s.CLI.Namespace).Create(s.Context(), service, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return fmt.Sprintf("localhost:%d", created.Spec.Ports[0].NodePort)
}

func (s *stage) create(pod *corev1.Pod) {
	s.Helper()
	if err := s.Create(s.Context(), s.CLI.Namespace, pod); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) ready(name string) {
	s.Helper()
	s.Eventually("pod "+name+" ready", func(ctx context.Context) error {
		pod, err := s.Client.CoreV1().Pods(s.CLI.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("phase %s", pod.Status.Phase)
	})
}

// buildkit starts a BuildKit daemon of the node's network, where localhost is
// the same registry as for the node's runtime, and points BUILDKIT_HOST at it.
func (s *stage) buildkit() {
	s.Helper()
	yes, grace := true, int64(0)
	s.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "buildkitd"},
		Spec: corev1.PodSpec{
			HostNetwork: true, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "buildkitd", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{"buildkitd", "--root", "/cache"},
				SecurityContext: &corev1.SecurityContext{Privileged: &yes},
				VolumeMounts:    []corev1.VolumeMount{{Name: "cache", MountPath: "/cache"}},
			}},
			Volumes: []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	})
	s.ready("buildkitd")
	s.Env = append(s.Env, "OKTETO_REGISTRY_URL="+s.node, "BUILDKIT_HOST=kube-pod://buildkitd?namespace="+s.CLI.Namespace)
}

// write puts files into the project folder; a name that ends in a slash is a
// folder.
func (s *stage) write(files map[string]string) {
	s.Helper()
	for name, content := range files {
		path := filepath.Join(s.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			s.Fatal(err)
		}
	}
}

// copyBusybox puts a static busybox into the project folder.
func (s *stage) copyBusybox() {
	s.Helper()
	copyProgram(s, busybox, filepath.Join(s.Dir, "busybox"))
}

func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kubectl as the administrator, in the test's namespace.
func (s *stage) kubectl(args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "kubectl", append([]string{"--kubeconfig", s.CLI.Kubeconfig, "-n", s.CLI.Namespace}, args...)...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("kubectl %v: %v: %s", args, err, errOut.String())
	}
	return string(out)
}

// background is a command that runs while the test goes on.
type background struct {
	cmd    *exec.Cmd
	output *syncBuffer
	ended  chan error
}

func (s *stage) background(args ...string) *background {
	s.Helper()
	b := &background{cmd: s.CLI.Command(s.Context(), args...), output: &syncBuffer{}, ended: make(chan error, 1)}
	b.cmd.Stdout, b.cmd.Stderr = b.output, b.output
	if err := b.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() { b.ended <- b.cmd.Wait() }()
	return b
}

// says waits until the command's output has a text.
func (s *stage) says(b *background, text string) {
	s.Helper()
	s.Eventually(fmt.Sprintf("%q in the output of %v", text, b.cmd.Args[1:]), func(context.Context) error {
		if out := b.output.String(); !strings.Contains(out, text) {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
}

// code waits for the command's end.
func (s *stage) code(b *background) int {
	s.Helper()
	select {
	case <-b.ended:
	case <-s.Context().Done():
		s.Fatal(s.Context().Err())
	}
	return b.cmd.ProcessState.ExitCode()
}
