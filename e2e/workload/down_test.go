//go:build e2e

package workload

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/workload"
	"okteto/internal/contract"
)

// restored fails unless a Deployment is what it was, and nothing of an
// environment is left beside it.
func (s *space) restored(before *appsv1.Deployment) {
	s.Helper()
	for _, e := range s.unchanged(before).ManagedFields {
		if e.Manager == "okteto" {
			s.Errorf("okteto still manages fields: %s", e.FieldsV1)
		}
	}
	s.nothingLeft()
}

// unchanged compares a Deployment with what it was.
func (s *space) unchanged(before *appsv1.Deployment) (after *appsv1.Deployment) {
	s.Helper()
	after = s.deployment(before.Name)
	if diff := cmp.Diff(before.Spec, after.Spec); diff != "" {
		s.Errorf("spec after down (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.Labels, after.Labels); diff != "" {
		s.Errorf("labels after down:\n%s", diff)
	}
	if diff := cmp.Diff(before.Annotations, after.Annotations); diff != "" {
		s.Errorf("annotations after down:\n%s", diff)
	}
	return after
}

func (s *space) nothingLeft() {
	s.Helper()
	s.noObjectsLeft()
	s.eventually("the development pod to end", s.pods(contract.InteractiveLabel, 0))
}

func (s *space) noObjectsLeft() {
	s.Helper()
	ctx := s.Context()
	all, err := s.Client.AppsV1().Deployments(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.CloneLabel})
	if err != nil || len(all.Items) > 0 {
		s.Errorf("twins left: %v, %v", all.Items, err)
	}
	if _, err := s.Client.CoreV1().Secrets(s.Namespace).Get(ctx, "okteto-api", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		s.Errorf("the Secret is left: %v", err)
	}
}

func TestUpAndDown(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	target, options := s.target(s.plain("persistentVolume: {enabled: false}")), s.options()
	a := s.up(target, options)
	if !a.Fresh {
		t.Error("the first activation is not fresh")
	}
	s.eventually("the original's pods to end", s.pods("app=api,!"+contract.InteractiveLabel, 0))

	t.Log("again: nothing changes, the pod stays")
	steps := 0
	again, err := workload.Activate(t.Context(), target, options, func(step workload.Step) { steps++; t.Log(step) })
	if err != nil {
		t.Fatal(err)
	}
	if steps > 0 || again.Fresh || again.Replaced {
		t.Errorf("a second activation did %d steps, fresh %t, replaced %t", steps, again.Fresh, again.Replaced)
	}
	pod, err := workload.WaitForPod(t.Context(), target, again, nil)
	if err != nil || pod.UID != a.Pod.UID {
		t.Errorf("another pod: %v, %v", pod, err)
	}

	report := s.down(target, workload.DownOptions{Wait: true})
	if !report.Active || report.KeptClaim != "" {
		t.Errorf("report %+v", report)
	}
	s.restored(before)
	s.eventually("the original to run again", s.pods("app=api", 2))

	t.Log("down again")
	if report := s.down(target, workload.DownOptions{}); report.Active {
		t.Errorf("a second down did something: %+v", report)
	}
	s.restored(before)
}

func TestDownAfterInterruption(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	target := s.target(s.plain("persistentVolume: {enabled: false}"))
	s.up(target, s.options())

	t.Log("as if down had ended after its first step")
	if err := s.Client.AppsV1().Deployments(s.Namespace).Delete(t.Context(), "api-okteto", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.down(target, workload.DownOptions{})
	s.restored(before)
}

func TestDownWithoutTheWorkload(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target := s.target(s.plain())
	s.up(target, s.options())
	if err := s.Client.AppsV1().Deployments(s.Namespace).Delete(t.Context(), "api", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	report := s.down(target, workload.DownOptions{})
	if report.KeptClaim != "api-okteto" {
		t.Errorf("the claim was not kept: %+v", report)
	}
	s.nothingLeft()
	s.down(target, workload.DownOptions{Volumes: true})
	s.eventually("the claim to be deleted", func(ctx context.Context) error {
		_, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Get(ctx, "api-okteto", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there: %w", err)
	})
}
