//go:build e2e

package workload

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/workload"
	"okteto/internal/contract"
)

// inPlace does to a Deployment what CLI 1.9 and 1.13 did: the original as JSON
// in an annotation, and everything else rewritten.
func (s *space) inPlace(before *appsv1.Deployment) {
	s.Helper()
	stored := before.DeepCopy()
	stored.Status, stored.ManagedFields, stored.ResourceVersion = appsv1.DeploymentStatus{}, nil, ""
	content, err := json.Marshal(stored)
	if err != nil {
		s.Fatal(err)
	}
	d := before.DeepCopy()
	one, grace := int32(1), int64(0)
	d.Spec.Replicas = &one
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	d.Labels[contract.DevLabel] = "true"
	d.Annotations[contract.DeploymentAnnotation] = string(content)
	d.Annotations[contract.VersionAnnotation] = contract.TranslationVersion
	d.Annotations[contract.RevisionAnnotation] = d.Annotations[contract.KubeRevisionAnnotation]
	d.Spec.Template.Labels[contract.DevLabel] = "true"
	d.Spec.Template.Labels[contract.InteractiveLabel] = "api"
	d.Spec.Template.Spec.TerminationGracePeriodSeconds = &grace
	d.Spec.Template.Spec.Containers[0].Command = []string{"sh", "-c", "sleep infinity"}
	if _, err := s.Client.AppsV1().Deployments(s.Namespace).Update(s.Context(), d, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// sameButRevision compares, but for Kubernetes' own count of templates, which the
// older CLI's change and its undoing have raised.
func (s *space) sameButRevision(before *appsv1.Deployment) {
	s.Helper()
	after := s.deployment(before.Name)
	delete(before.Annotations, contract.KubeRevisionAnnotation)
	delete(after.Annotations, contract.KubeRevisionAnnotation)
	for what, diff := range map[string]string{
		"spec": cmp.Diff(before.Spec, after.Spec), "labels": cmp.Diff(before.Labels, after.Labels), "annotations": cmp.Diff(before.Annotations, after.Annotations),
	} {
		if diff != "" {
			s.Errorf("%s after down:\n%s", what, diff)
		}
	}
	s.nothingLeft()
}

// TestOlderTranslation: down undoes what an older CLI did in place, and up takes
// over from it.
func TestOlderTranslation(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	target := s.target(s.plain("persistentVolume: {enabled: false}"))
	s.inPlace(before)
	if report := s.down(target, workload.DownOptions{}); !report.Active {
		t.Error("down saw nothing to do")
	}
	s.sameButRevision(before.DeepCopy())

	t.Log("and up on top of it")
	if err := s.WaitDeployment(t.Context(), s.Namespace, "api"); err != nil {
		t.Fatal(err)
	}
	s.inPlace(s.deployment("api"))
	s.up(target, s.options())
	s.down(target, workload.DownOptions{Wait: true})
	s.sameButRevision(before)
}
