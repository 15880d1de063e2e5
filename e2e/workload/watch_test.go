//go:build e2e

package workload

import (
	"context"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/cli/manifest"
	"okteto/cli/workload"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// change waits for a change of a kind; others may come before it.
func (s *space) change(changes <-chan workload.Change, kind workload.ChangeKind) workload.Change {
	s.Helper()
	limit := time.NewTimer(harness.Timeout)
	defer limit.Stop()
	for {
		select {
		case c, ok := <-changes:
			if !ok {
				s.Fatalf("watching ended while waiting for %s", kind)
			}
			s.Logf("change %s: %s (%s)", c.Kind, c.Detail, c.Hint)
			if c.Kind == kind {
				return c
			}
		case <-limit.C:
			s.Fatalf("no change %s", kind)
		}
	}
}

// applied makes a server-side apply of the Deployment api as a manager.
func (s *space) applied(manager, spec string) {
	s.Helper()
	force := true
	body := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api"},"spec":` + spec + `}`
	_, err := s.Client.AppsV1().Deployments(s.Namespace).Patch(s.Context(), "api", types.ApplyPatchType, []byte(body),
		metav1.PatchOptions{FieldManager: manager, Force: &force})
	if err != nil {
		s.Fatal(err)
	}
}

// TestApplyDuringUp: a changed template makes a new twin, a changed number of
// replicas is remembered, and both survive down.
func TestApplyDuringUp(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target, options := s.target(s.plain("persistentVolume: {enabled: false}")), s.options()
	a := s.up(target, options)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes, err := workload.Watch(ctx, target, a)
	if err != nil {
		t.Fatal(err)
	}
	s.applied("kubectl", `{"template":{"metadata":{"annotations":{"release":"two"}}}}`)
	if c := s.change(changes, workload.SpecChanged); c.Manager != "kubectl" {
		t.Errorf("by %q", c.Manager)
	}
	again, err := workload.Activate(t.Context(), target, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Replaced || again.Twin.Template().Annotations["release"] != "two" {
		t.Errorf("the twin does not follow: %+v", again.Twin.Template().Annotations)
	}
	if _, err := workload.WaitForPod(t.Context(), target, again, nil); err != nil {
		t.Fatal(err)
	}

	s.applied("argocd-controller", `{"replicas":3}`)
	c := s.change(changes, workload.ScaledBack)
	if c.Manager != "argocd-controller" || !strings.Contains(c.Hint, "RespectIgnoreDifferences") {
		t.Errorf("scaled back by %q, hint %q", c.Manager, c.Hint)
	}
	if _, err := workload.Activate(t.Context(), target, options, nil); err != nil {
		t.Fatal(err)
	}
	if d := s.deployment("api"); *d.Spec.Replicas != 0 || d.Annotations[contract.ReplicasAnnotation] != "3" {
		t.Errorf("replicas %d, remembered %q", *d.Spec.Replicas, d.Annotations[contract.ReplicasAnnotation])
	}
	s.down(target, workload.DownOptions{})
	s.change(changes, workload.Deactivated)
	d := s.deployment("api")
	if *d.Spec.Replicas != 3 || d.Spec.Template.Annotations["release"] != "two" {
		t.Errorf("after down: %d replicas, %v", *d.Spec.Replicas, d.Spec.Template.Annotations)
	}
	cancel()
	for range changes { // must be closed
	}
}

func TestOtherChanges(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target, options := s.target(s.plain("persistentVolume: {enabled: false}")), s.options()
	a := s.up(target, options)
	changes, err := workload.Watch(t.Context(), target, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("the twin is deleted")
	if err := s.Client.AppsV1().Deployments(s.Namespace).Delete(t.Context(), "api-okteto", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.change(changes, workload.TwinGone)
	a = s.up(target, options)
	if a.Fresh {
		t.Error("an environment whose twin was deleted counts as fresh")
	}
	t.Log("the original is deleted")
	changes, err = workload.Watch(t.Context(), target, a)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Client.AppsV1().Deployments(s.Namespace).Delete(t.Context(), "api", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.change(changes, workload.OriginalDeleted)
	t.Log("and made again")
	s.eventually("the twin to be collected", func(ctx context.Context) error {
		_, err := s.Client.AppsV1().Deployments(s.Namespace).Get(ctx, "api-okteto", metav1.GetOptions{})
		if err == nil {
			return errStillThere
		}
		return nil
	})
	before := s.create(api(nil))
	s.up(target, options)
	s.down(target, workload.DownOptions{})
	s.restored(before)
}

// TestDownElsewhere: whoever watches hears first that development mode was
// switched off, and not that the pod is gone, which would bring it back.
func TestDownElsewhere(t *testing.T) {
	for name, dev := range map[string]func(*space) *manifest.Dev{
		"twin": func(s *space) *manifest.Dev {
			s.create(api(nil))
			return s.plain("persistentVolume: {enabled: false}")
		},
		"sandbox": func(s *space) *manifest.Dev {
			return s.plain("persistentVolume: {enabled: false}", "autocreate: true")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t, nil)
			target := s.target(dev(s))
			a := s.up(target, s.options())
			changes, err := workload.Watch(t.Context(), target, a)
			if err != nil {
				t.Fatal(err)
			}
			s.down(target, workload.DownOptions{})
			if c := <-changes; c.Kind != workload.Deactivated {
				t.Errorf("first came %s: %s", c.Kind, c.Detail)
			}
		})
	}
}

// TestReset: a reset replaces the pod once.
func TestReset(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target, options := s.target(s.plain()), s.options()
	first := s.up(target, options)
	options.Reset = true
	second := s.up(target, options)
	if second.Pod.UID == first.Pod.UID || !second.Replaced {
		t.Error("a reset kept the pod")
	}
	options.Reset = false
	if third := s.up(target, options); third.Pod.UID != second.Pod.UID {
		t.Error("going on after a reset replaced the pod")
	}
	options.Reset = true
	if fourth := s.up(target, options); fourth.Pod.UID == second.Pod.UID {
		t.Error("a second reset kept the pod")
	}
	s.down(target, workload.DownOptions{Volumes: true})
}

// TestAutoscalerRests: an autoscaler does nothing to an original at 0, and does
// not know the twin.
func TestAutoscalerRests(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	least := int32(2)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "api"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "api"},
			MinReplicas:    &least, MaxReplicas: 5,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &least},
				},
			}},
		},
	}
	if _, err := s.Client.AutoscalingV2().HorizontalPodAutoscalers(s.Namespace).Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	target := s.target(s.plain("persistentVolume: {enabled: false}"))
	s.up(target, s.options())
	s.eventually("the autoscaler to say that it rests", func(ctx context.Context) error {
		now, err := s.Client.AutoscalingV2().HorizontalPodAutoscalers(s.Namespace).Get(ctx, "api", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range now.Status.Conditions {
			if c.Type == autoscalingv2.ScalingActive && c.Status == corev1.ConditionFalse && c.Reason == "ScalingDisabled" {
				return nil
			}
		}
		return errStillThere
	})
	if d := s.deployment("api"); *d.Spec.Replicas != 0 {
		t.Errorf("the autoscaler scaled the original to %d", *d.Spec.Replicas)
	}
	s.down(target, workload.DownOptions{})
	if d := s.deployment("api"); *d.Spec.Replicas < 2 {
		t.Errorf("after down: %d replicas", *d.Spec.Replicas)
	}
}

// TestScaleByHand is what kubectl scale does during up.
func TestScaleByHand(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target, options := s.target(s.plain("persistentVolume: {enabled: false}")), s.options()
	a := s.up(target, options)
	changes, err := workload.Watch(t.Context(), target, a)
	if err != nil {
		t.Fatal(err)
	}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: s.Namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: 1}}
	if _, err := s.Client.AppsV1().Deployments(s.Namespace).UpdateScale(t.Context(), "api", scale, metav1.UpdateOptions{FieldManager: "kubectl"}); err != nil {
		t.Fatal(err)
	}
	if c := s.change(changes, workload.ScaledBack); c.Manager != "kubectl" {
		t.Errorf("scaled back by %q", c.Manager)
	}
	if _, err := workload.Activate(t.Context(), target, options, nil); err != nil {
		t.Fatal(err)
	}
	s.down(target, workload.DownOptions{})
	if d := s.deployment("api"); *d.Spec.Replicas != 1 {
		t.Errorf("after down: %d replicas", *d.Spec.Replicas)
	}
}
