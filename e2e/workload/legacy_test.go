//go:build e2e

package workload

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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

// TestOriginalClientsEnvironment: what CLI 3 left running, with its clone and
// its marks, is ended by our down and continued by our up.
func TestOriginalClientsEnvironment(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	target := s.target(s.dev("name: mine", "selector: {app: api, app.kubernetes.io/component: web}", "image: okteto/devbase:dev",
		"imagePullPolicy: IfNotPresent", "persistentVolume: {enabled: false}", "sync: [.:/app]"))
	component := func(d *appsv1.Deployment) { d.Labels["app.kubernetes.io/component"] = "web" }
	component(before)
	before, err := s.Client.AppsV1().Deployments(s.Namespace).Update(t.Context(), before, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.cloned(before)
	s.down(target, workload.DownOptions{Wait: true})
	s.restored(before)

	t.Log("and up on top of it")
	s.cloned(s.deployment("api"))
	a := s.up(target, s.options())
	if a.Fresh || a.Twin.Meta().Name != "api-okteto" {
		t.Errorf("not continued: fresh %t, twin %s", a.Fresh, a.Twin)
	}
	s.down(target, workload.DownOptions{Wait: true})
	s.restored(before)
}

// cloned does what CLI 3 does (pkg/k8s/apps/translate.go).
func (s *space) cloned(original *appsv1.Deployment) {
	s.Helper()
	deployments := s.Client.AppsV1().Deployments(s.Namespace)
	clone := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "api-okteto", Labels: map[string]string{"app": "api", contract.CloneLabel: string(original.UID)}},
		Spec:       *original.Spec.DeepCopy(),
	}
	one := int32(1)
	clone.Spec.Replicas = &one
	clone.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	clone.Spec.Template.Labels[contract.InteractiveLabel] = "web"
	if _, err := deployments.Create(s.Context(), clone, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	patch := `{"metadata":{"labels":{"dev.okteto.com":"true"},"annotations":{"dev.okteto.com/replicas":"2","dev.okteto.com/dev-mode":"sync"}},"spec":{"replicas":0}}`
	if _, err := deployments.Patch(s.Context(), "api", types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "okteto"}); err != nil {
		s.Fatal(err)
	}
}
