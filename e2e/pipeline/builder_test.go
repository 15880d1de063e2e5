//go:build e2e

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
)

// TestBuilderGoesAway deletes the builder's pod in the middle of a build, which
// goes on from the cache with the next one.
func TestBuilderGoesAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	base := s.base()
	s.write(map[string]string{"Dockerfile": "FROM " + base + "\nRUN date > /first\nRUN sleep 4\nRUN echo done\n"})
	b := s.background("build", "--progress", "plain", "-t", "okteto.dev/app")
	s.says(b, "RUN sleep 4")
	s.kubectl("delete", "pod", "-l", "dev.okteto.com/builder", "--now", "--wait=false")
	if code := s.code(b); code != 0 {
		t.Fatalf("exit code %d\n%s", code, b.output)
	}
	out := b.output.String()
	_, after, _ := strings.Cut(out, "the builder went away")
	if !strings.Contains(after, "CACHED") {
		t.Errorf("the build did not go on from its cache:\n%s", out)
	}
}

// TestBuildInterrupted: Ctrl-C ends the build, in the builder too, leaves nothing
// here, and the builder is there for the next one.
func TestBuildInterrupted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	base := s.base()
	temp, out := t.TempDir(), t.TempDir()
	s.Env = append(s.Env, "TMPDIR="+temp)
	s.write(map[string]string{"Dockerfile": "FROM " + base + "\nRUN echo begun; sleep 987\n"})
	b := s.background("build", "--progress", "plain", "--output", "type=tar,dest="+filepath.Join(out, "never.tar"))
	s.says(b, "begun\n")
	sleeps := func() bool {
		pod := s.kubectl("get", "pods", "-l", "dev.okteto.com/builder", "-o", "name")
		return strings.Contains(s.kubectl("exec", strings.TrimSpace(pod), "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "sleep 987")
	}
	if !sleeps() {
		t.Error("the step cannot be seen in the builder: that it ends proves nothing")
	}
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.code(b); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, b.output)
	}
	s.Eventually("the end of the step in the builder", func(context.Context) error {
		if sleeps() {
			return errors.New("it runs")
		}
		return nil
	})
	for _, dir := range []string{temp, out} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("there are still %v, error %v", left, err)
		}
	}
	s.write(map[string]string{"Dockerfile": "FROM " + base + "\nRUN true\n"})
	s.MustOkteto("build")
}

// TestBuilderEndsWhenIdle sees the builder end by itself, and the next build use
// its cache, whether the cluster has removed the Job by then or not.
func TestBuilderEndsWhenIdle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mode, state string }{{"auto", "ended"}, {"privileged", "gone"}} {
		t.Run(c.mode+", "+c.state, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.Env = append(s.Env, "OKTETO_BUILDER_IDLE=10s", "OKTETO_BUILDER_MODE="+c.mode)
			s.base()
			s.Eventually("the builder to be "+c.state, func(ctx context.Context) error {
				job, err := s.Client.BatchV1().Jobs(s.CLI.Namespace).Get(ctx, "okteto-builder", metav1.GetOptions{})
				if apierrors.IsNotFound(err) || err == nil && c.state == "ended" && job.Status.Succeeded == 1 {
					return nil
				}
				return fmt.Errorf("it is there, or %w", err)
			})
			s.copyBusybox()
			result := s.Okteto(nil, "build", "--progress", "plain", "-f", filepath.Join(s.Dir, "base.Dockerfile"))
			if result.Code != 0 || !strings.Contains(result.Stderr, "CACHED") {
				t.Errorf("exit code %d, and not from the cache:\n%s", result.Code, result.Stderr)
			}
		})
	}
}

// TestBuilderStartInterrupted: Ctrl-C while the builder starts leaves nothing that
// this build made. Its pod waits for a claim that was there and is never bound.
func TestBuilderStartInterrupted(t *testing.T) {
	t.Parallel()
	s := &stage{Test: harness.New(t, nil)}
	s.Env = append(s.Env, "BUILDKIT_HOST=", "OKTETO_BUILDER_IMAGE="+image)
	none := "there-is-none"
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "okteto-builder"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &none, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		},
	}
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(s.CLI.Namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	b := s.background("build")
	s.says(b, "Unschedulable")
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.code(b); code != 130 {
		t.Errorf("exit code %d, want 130: %s", code, b.output)
	}
	if left := s.kubectl("get", "jobs,pods,pvc,secrets", "-o", "name"); left != "persistentvolumeclaim/okteto-builder\n" {
		t.Errorf("there are still %s", left)
	}
}

// TestBuilderFirstUseTwice: two builds that find no builder start one, and both
// use it.
func TestBuilderFirstUseTwice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	first, second := s.background("build", "-t", "okteto.dev/first"), s.background("build", "-t", "okteto.dev/second")
	if a, b := s.code(first), s.code(second); a != 0 || b != 0 {
		t.Errorf("exit codes %d and %d\n%s\n%s", a, b, first.output, second.output)
	}
	if jobs := s.kubectl("get", "jobs", "-o", "name"); jobs != "job.batch/okteto-builder\n" {
		t.Errorf("the builders are %s", jobs)
	}
}

// TestBuilderCannotStart: where the builder cannot run, the reason is said and
// nothing stays.
func TestBuilderCannotStart(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		labels map[string]string
		env    string
	}{
		"violates PodSecurity": {map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, ""},
		"ImagePull":            {nil, "OKTETO_BUILDER_IMAGE=localhost:1/there-is-none:1"},
		"cannot run":           {nil, "OKTETO_BUILDER_IMAGE=" + harness.DevImage},
		"OKTETO_BUILDER_IDLE":  {nil, "OKTETO_BUILDER_IDLE=soon"},
	} {
		t.Run(reason, func(t *testing.T) {
			s := &stage{Test: harness.New(t, c.labels)}
			s.Env = append(s.Env, "BUILDKIT_HOST=", "OKTETO_BUILDER_IMAGE="+image, c.env)
			s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
			result := s.Okteto(nil, "build")
			if result.Code != 1 || !strings.Contains(result.Stderr, reason) {
				t.Errorf("exit code %d, want 1 and %q: %s", result.Code, reason, result.Stderr)
			}
			if left := s.kubectl("get", "jobs,pods,pvc,secrets", "-o", "name"); left != "" {
				t.Errorf("there are still %s", left)
			}
		})
	}
}
