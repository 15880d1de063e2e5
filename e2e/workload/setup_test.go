//go:build e2e

// Package workload tests package cli/workload against a real API server and
// real pods: what development mode makes, survives and leaves behind.
package workload

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kubeapi "okteto/cli/kube/api"
	"okteto/cli/manifest"
	"okteto/cli/workload"
	"okteto/e2e/harness"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// space is one test's namespace.
type space struct {
	*testing.T
	*harness.Cluster
	Namespace string
}

func newSpace(t *testing.T, labels map[string]string) *space {
	t.Helper()
	t.Parallel()
	cluster, err := harness.Connect()
	if err != nil {
		t.Fatal(err)
	}
	name := "e2e-workload-" + suffix()
	if err := cluster.CreateNamespace(t.Context(), name, labels); err != nil {
		t.Fatal(err)
	}
	s := &space{T: t, Cluster: cluster, Namespace: name}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Timeout)
		defer cancel()
		if t.Failed() {
			s.dump(ctx)
		}
		if err := cluster.DeleteNamespace(ctx, name); err != nil {
			t.Log(err)
		}
	})
	return s
}

// suffix makes a name unlike any other.
func suffix() string {
	random := make([]byte, 3)
	rand.Read(random) // never fails: crypto/rand
	return hex.EncodeToString(random)
}

// dump shows what a failed test leaves behind.
func (s *space) dump(ctx context.Context) {
	pods, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Log(err)
		return
	}
	for _, pod := range pods.Items {
		s.Logf("pod %s: %s %s %v", pod.Name, pod.Status.Phase, pod.Status.Reason, pod.Status.ContainerStatuses)
	}
	events, err := s.Client.CoreV1().Events(s.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Log(err)
		return
	}
	for _, e := range events.Items {
		if e.Type == corev1.EventTypeWarning {
			s.Logf("event %s %s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}

// dev reads a manifest, written into a folder of its own.
func (s *space) dev(lines ...string) *manifest.Dev {
	s.Helper()
	path := filepath.Join(s.TempDir(), "okteto.yml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.Fatal(err)
	}
	m, err := manifest.Load(path)
	if err != nil {
		s.Fatal(err)
	}
	dev, err := m.Dev("")
	if err != nil {
		s.Fatal(err)
	}
	return dev
}

// plain is a manifest for the Deployment api.
func (s *space) plain(lines ...string) *manifest.Dev {
	s.Helper()
	return s.dev(append([]string{
		"name: api", "image: " + harness.DevImage, "imagePullPolicy: IfNotPresent", "workdir: /app",
		"timeout: {default: 60s, resources: 90s}", "initContainer: {image: " + harness.InitImage + "}",
	}, lines...)...)
}

func (s *space) target(dev *manifest.Dev) workload.Target {
	s.Helper()
	client, err := kubeapi.New(s.Config)
	if err != nil {
		s.Fatal(err)
	}
	return workload.Target{Client: client, Namespace: s.Namespace, Dev: dev}
}

// options are those of a first `up`, with keys of their own.
func (s *space) options() workload.Options {
	s.Helper()
	keys, err := identity.NewEnvironment()
	if err != nil {
		s.Fatal(err)
	}
	pair, err := identity.LoadOrCreateUserKey(s.TempDir())
	if err != nil {
		s.Fatal(err)
	}
	data := keys.SecretData()
	data[contract.SyncthingConfigFile] = []byte(`<configuration version="37"></configuration>`)
	data[contract.SecretItemPrefix+filepath.Base(contract.AuthorizedKeys)] = pair.AuthorizedKey
	return workload.Options{SecretData: data, InitImage: harness.InitImage}
}

// api is a Deployment of the development image that only sleeps.
func api(change func(*appsv1.Deployment)) *appsv1.Deployment {
	replicas := int32(2)
	app := map[string]string{"app": "api"}
	grace := int64(1)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Labels: app, Annotations: map[string]string{"team": "payments"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{
						Name: "api", Image: harness.DevImage, ImagePullPolicy: corev1.PullIfNotPresent,
						Command: []string{"sleep", "infinity"},
					}},
				},
			},
		},
	}
	if change != nil {
		change(d)
	}
	return d
}

func (s *space) create(d *appsv1.Deployment) *appsv1.Deployment {
	s.Helper()
	if err := s.Cluster.Create(s.Context(), s.Namespace, d); err != nil {
		s.Fatal(err)
	}
	if err := s.WaitDeployment(s.Context(), s.Namespace, d.Name); err != nil {
		s.Fatal(err)
	}
	return s.deployment(d.Name)
}

func (s *space) deployment(name string) *appsv1.Deployment {
	s.Helper()
	d, err := s.Client.AppsV1().Deployments(s.Namespace).Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// up activates and waits for the pod.
func (s *space) up(t workload.Target, o workload.Options) *workload.Activation {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Timeout)
	defer cancel()
	a, err := workload.Activate(ctx, t, o, func(step workload.Step) { s.Log(step) })
	if err != nil {
		s.Fatal(err)
	}
	start := time.Now()
	if _, err := workload.WaitForPod(ctx, t, a, func(p workload.PodProgress) { s.Log(time.Since(start).Round(10*time.Millisecond), p) }); err != nil {
		s.Fatal(err)
	}
	return a
}

func (s *space) down(t workload.Target, o workload.DownOptions) *workload.DownReport {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Timeout)
	defer cancel()
	report, err := workload.Deactivate(ctx, t, o)
	if err != nil {
		s.Fatal(err)
	}
	return report
}

func (s *space) eventually(what string, check func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Timeout)
	defer cancel()
	if err := harness.Wait(ctx, what, check); err != nil {
		s.Fatal(err)
	}
}

// podLabels returns a check that the number of live pods with a label is n.
func (s *space) pods(selector string, n int) func(context.Context) error {
	return func(ctx context.Context) error {
		pods, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		if len(pods.Items) != n {
			return fmt.Errorf("%d pods with %s, want %d", len(pods.Items), selector, n)
		}
		return nil
	}
}
