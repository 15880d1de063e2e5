//go:build e2e

package workload

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/workload"
)

// TestPodsThatCannotRun: each reason is named within seconds, with what to do.
func TestPodsThatCannotRun(t *testing.T) {
	for name, tt := range map[string]struct {
		lines    []string
		original func(*appsv1.Deployment)
		prepare  func(*space)
		reason   string
		message  string
		hint     string
		log      string
	}{
		"image that is nowhere": {
			lines:  []string{"image: registry.invalid/none:1", "imagePullPolicy: IfNotPresent"},
			reason: "ErrImagePull", message: "failed to resolve", hint: "pull secret",
		},
		"image that is not on the node": {
			lines: []string{"image: registry.invalid/none:1", "imagePullPolicy: Never"}, reason: "ErrImageNeverPull", message: "cannot be pulled", hint: "Never",
		},
		"image that cannot be": {
			lines: []string{"image: two:tags:here"}, reason: "InvalidImageName", message: "two:tags:here", hint: "correct the image",
		},
		"no node": {
			lines:  []string{"nodeSelector: {no: such}", "timeout: {default: 10s, resources: 5s}"},
			reason: "Unschedulable", message: "no node takes the pod", hint: "free or add",
		},
		"quota": {
			lines:  []string{"timeout: {default: 10s, resources: 60s}"},
			reason: "FailedCreate", message: "exceeded quota", hint: "resources",
			prepare: func(s *space) {
				quota := &corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Name: "tight"},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceRequestsCPU: resource.MustParse("1m")}},
				}
				if _, err := s.Client.CoreV1().ResourceQuotas(s.Namespace).Create(s.Context(), quota, metav1.CreateOptions{}); err != nil {
					s.Fatal(err)
				}
			},
			original: func(d *appsv1.Deployment) {
				d.Spec.Replicas = new(int32)
				d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}
			},
		},
		"pod security": {
			lines:  []string{"securityContext: {runAsUser: 0}"},
			reason: "FailedCreate", message: "violates PodSecurity", hint: "securityContext",
			original: func(d *appsv1.Deployment) {
				d.Spec.Replicas = new(int32)
			},
			prepare: func(s *space) {
				namespace, err := s.Client.CoreV1().Namespaces().Get(s.Context(), s.Namespace, metav1.GetOptions{})
				if err != nil {
					s.Fatal(err)
				}
				namespace.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
				if _, err := s.Client.CoreV1().Namespaces().Update(s.Context(), namespace, metav1.UpdateOptions{}); err != nil {
					s.Fatal(err)
				}
			},
		},
		"agents that do not start": {
			lines: []string{"initContainer: {image: okteto/devbase:dev}"}, reason: "CrashLoopBackOff", message: "container okteto-bin ended with exit code 1", log: "/usr/bin-image/bin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t, nil)
			before := s.create(api(tt.original))
			if tt.prepare != nil {
				tt.prepare(s)
			}
			lines := append([]string{"name: api", "sync: [.:/app]", "persistentVolume: {enabled: false}"}, tt.lines...)
			all := strings.Join(lines, "\n")
			for key, line := range map[string]string{"image:": "image: okteto/devbase:dev", "imagePullPolicy:": "imagePullPolicy: IfNotPresent"} {
				if !strings.Contains(all, "\n"+key) {
					lines = append(lines, line)
				}
			}
			target := s.target(s.dev(lines...))
			a, err := workload.Activate(t.Context(), target, s.options(), nil)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = workload.WaitForPod(t.Context(), target, a, func(p workload.PodProgress) { t.Log(p) })
			var e *workload.PodError
			if !errors.As(err, &e) || !errors.Is(err, workload.ErrPod) {
				t.Fatalf("got %v", err)
			}
			t.Logf("after %s: %v\nhint: %s\nlog: %s", time.Since(start).Round(time.Millisecond), e, e.Hint, e.Log)
			if e.Reason != tt.reason && !(tt.reason == "ErrImagePull" && e.Reason == "ImagePullBackOff") {
				t.Errorf("reason %s, want %s", e.Reason, tt.reason)
			}
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) || !strings.Contains(e.Log, tt.log) {
				t.Errorf("message %q, hint %q, log %q", e.Message, e.Hint, e.Log)
			}
			s.down(target, workload.DownOptions{})
			s.restored(before)
		})
	}
}

// TestInterrupted: Activate may end after any request; up and down both go on
// from there.
func TestInterrupted(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	target, options := s.target(s.plain()), s.options()
	for steps := 1; ; steps++ {
		ctx, cancel := context.WithCancel(t.Context())
		done := 0
		_, err := workload.Activate(ctx, target, options, func(workload.Step) {
			if done++; done == steps {
				cancel()
			}
		})
		cancel()
		if err == nil && done < steps {
			break // there are no more steps to interrupt after
		}
		t.Logf("interrupted after %d steps: %v", steps, err)
		if steps%2 == 0 {
			if _, err := workload.Activate(t.Context(), target, options, nil); err != nil {
				t.Fatalf("up after %d steps: %v", steps, err)
			}
		}
		s.down(target, workload.DownOptions{Volumes: true})
		s.restored(before)
		s.eventually("the claim to be deleted", func(ctx context.Context) error {
			_, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Get(ctx, "api-okteto", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errStillThere
		})
	}
	s.down(target, workload.DownOptions{Volumes: true})
	s.restored(before)
}
