//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// sample is the sample application, deployed in a test's namespace, with a
// developer's copy of its source.
type sample struct {
	*harness.Test
	// Port on this machine that the manifest forwards to the application.
	Port int
	// before is the Deployment as it was before any up.
	before *appsv1.Deployment
}

const sampleName = "api"

func deploySample(t *testing.T) *sample {
	t.Helper()
	s := &sample{Test: harness.New(t, nil)}
	source := filepath.Join(s.Root, "e2e", "samples", sampleName)
	if err := harness.CopyTree(s.Dir, source); err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s.Port = port
	// Samples running at once must not share the laptop's port.
	s.rewrite("okteto.yml", regexp.MustCompile(`\d+:8080`), fmt.Sprintf("%d:8080", port))
	if err := s.Apply(t.Context(), s.Namespace, filepath.Join(source, "k8s.yml")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	if err := s.WaitDeployment(ctx, s.Namespace, sampleName); err != nil {
		t.Fatal(err)
	}
	s.before = s.deployment()
	return s
}

func (s *sample) deployment() *appsv1.Deployment {
	s.Helper()
	d, err := s.Client.AppsV1().Deployments(s.Namespace).Get(s.Context(), sampleName, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// rewrite changes a file of the project.
func (s *sample) rewrite(name string, pattern *regexp.Regexp, by string) {
	s.Helper()
	path := filepath.Join(s.Dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	changed := pattern.ReplaceAllLiteralString(string(content), by)
	if changed == string(content) {
		s.Fatalf("%s has nothing that matches %s", name, pattern)
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		s.Fatal(err)
	}
}

// say edits the application's source so that it answers with text.
func (s *sample) say(text string) {
	s.Helper()
	s.rewrite("server.py", regexp.MustCompile(`(?m)^MESSAGE = .*$`), fmt.Sprintf("MESSAGE = %q", text))
}

// answer is what the application says through the forward.
func (s *sample) answer(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", s.Port), nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(body)), nil
}

// serves waits until the application says text through the forward.
func (s *sample) serves(text string) {
	s.Helper()
	s.Eventually("the application says "+text, func(ctx context.Context) error {
		got, err := s.answer(ctx)
		if err != nil {
			return err
		}
		if !strings.Contains(got, text) {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

// devPod waits for the one running development pod.
func (s *sample) devPod() corev1.Pod {
	s.Helper()
	var pod corev1.Pod
	s.Eventually("one running development pod", func(ctx context.Context) error {
		pods, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.InteractiveLabel + "=" + sampleName})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		pod = pods.Items[0]
		return nil
	})
	return pod
}

// restored checks that the Deployment is what it was before up, runs again, and
// that nothing of the environment is left in the namespace.
func (s *sample) restored() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Timeout)
	defer cancel()
	if err := s.WaitDeployment(ctx, s.Namespace, sampleName); err != nil {
		s.Fatal(err)
	}
	after := s.deployment()
	for what, diff := range map[string]string{
		"spec":        cmp.Diff(s.before.Spec, after.Spec),
		"labels":      cmp.Diff(s.before.Labels, after.Labels),
		"annotations": cmp.Diff(s.before.Annotations, after.Annotations),
	} {
		if diff != "" {
			s.Errorf("the Deployment's %s is not as before:\n%s", what, diff)
		}
	}
	s.nothingLeft()
}

func (s *sample) nothingLeft() {
	s.Helper()
	s.Eventually("nothing of the environment left", func(ctx context.Context) error {
		deployments, err := s.Client.AppsV1().Deployments(s.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		secrets, err := s.Client.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.InteractiveLabel})
		if err != nil {
			return err
		}
		claims, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(deployments.Items) != 1 || len(secrets.Items) != 0 || len(pods.Items) != 0 || len(claims.Items) != 0 {
			return fmt.Errorf("%d deployments, %d secrets, %d development pods, %d claims",
				len(deployments.Items), len(secrets.Items), len(pods.Items), len(claims.Items))
		}
		return nil
	})
}
