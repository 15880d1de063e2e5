package workload

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/internal/contract"
)

// TestMarks: how many replicas an original is remembered to have.
func TestMarks(t *testing.T) {
	for name, tt := range map[string]struct {
		replicas    int32
		annotations map[string]string
		labels      map[string]string
		remembered  any // what the patch sets; nil if it leaves it
		needed      bool
	}{
		"first time":           {replicas: 3, remembered: "3", needed: true},
		"none from the start":  {replicas: 0, remembered: "0", needed: true},
		"in development":       {replicas: 0, labels: map[string]string{contract.DevLabel: "true"}, annotations: map[string]string{contract.ReplicasAnnotation: "3", contract.DevModeAnnotation: "sync", contract.VersionAnnotation: "1.0"}},
		"scaled back":          {replicas: 5, labels: map[string]string{contract.DevLabel: "true"}, annotations: map[string]string{contract.ReplicasAnnotation: "3"}, remembered: "5", needed: true},
		"on its way out":       {replicas: 0, annotations: map[string]string{contract.ReplicasAnnotation: "3"}, needed: true},
		"asleep":               {replicas: 0, annotations: map[string]string{contract.SleepAnnotation: `{"replicas":4}`}, remembered: "4", needed: true},
		"asleep, unreadable":   {replicas: 2, annotations: map[string]string{contract.SleepAnnotation: `{`}, remembered: "2", needed: true},
		"by the original's up": {replicas: 0, labels: map[string]string{contract.DevLabel: "true"}, annotations: map[string]string{contract.ReplicasAnnotation: "2", contract.DevModeAnnotation: "sync"}, needed: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Workload{Deployment: &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: "api", Labels: tt.labels, Annotations: tt.annotations},
				Spec:       appsv1.DeploymentSpec{Replicas: &tt.replicas},
			}}
			body, needed := markPatch(w)
			if needed != tt.needed {
				t.Fatalf("needed: %t", needed)
			}
			if !needed {
				return
			}
			annotations := body["metadata"].(map[string]any)["annotations"].(map[string]any)
			if got := annotations[contract.ReplicasAnnotation]; got != tt.remembered {
				t.Errorf("remembers %v, want %v", got, tt.remembered)
			}
		})
	}
}

func TestUnreadableReplicasAreNotGuessed(t *testing.T) {
	for _, text := range []string{"many", "-1", "99999999999"} {
		w := &Workload{Deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{contract.ReplicasAnnotation: text}},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32)},
		}}
		if _, _, err := unmarkPatch(w); err == nil {
			t.Errorf("%q was taken for a number", text)
		}
	}
}

// TestInPlace undoes each way in which older CLIs changed a workload itself.
func TestInPlace(t *testing.T) {
	original := readWorkload(t, "testdata/statefulset/original.yaml")
	stored, err := json.Marshal(original.StatefulSet)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("copy in an annotation", func(t *testing.T) {
		w := &Workload{StatefulSet: original.StatefulSet.DeepCopy()}
		w.StatefulSet.Spec.Replicas = ptr[int32](1)
		w.StatefulSet.Spec.Template.Labels[contract.InteractiveLabel] = "db"
		w.StatefulSet.Labels[contract.DevLabel] = "true"
		w.StatefulSet.ResourceVersion = "9"
		w.StatefulSet.Annotations = map[string]string{contract.StatefulSetAnnotation: string(stored), contract.VersionAnnotation: "1.0", contract.RevisionAnnotation: "1"}
		restored, err := inPlaceOriginal(w)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(original.StatefulSet.Spec, restored.StatefulSet.Spec); diff != "" {
			t.Error(diff)
		}
		if m := restored.Meta(); m.ResourceVersion != "9" || len(m.Annotations) > 0 || cmp.Diff(m.Labels, original.Meta().Labels) != "" {
			t.Errorf("metadata %+v", m)
		}
	})
	t.Run("translation by a webhook", func(t *testing.T) {
		w := readWorkload(t, "testdata/deployment/original.yaml")
		w.Deployment.Spec.Replicas = ptr[int32](1)
		w.Deployment.Spec.Template.Labels[contract.InteractiveLabel] = "api"
		w.Deployment.Annotations[contract.TranslationAnnotation] = `{"name":"api","replicas":4,"strategy":{"type":"RollingUpdate"},"rules":[]}`
		if !translatedInPlace(w) {
			t.Fatal("not recognised")
		}
		restored, err := inPlaceOriginal(w)
		if err != nil {
			t.Fatal(err)
		}
		d := restored.Deployment
		if *d.Spec.Replicas != 4 || d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || d.Spec.Template.Labels[contract.InteractiveLabel] != "" {
			t.Errorf("restored %+v", d.Spec)
		}
		if _, left := d.Annotations[contract.TranslationAnnotation]; left || d.Annotations["team"] != "payments" {
			t.Errorf("annotations %v", d.Annotations)
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		w := readWorkload(t, "testdata/deployment/original.yaml")
		w.Deployment.Annotations[contract.DeploymentAnnotation] = "{"
		if _, err := inPlaceOriginal(w); err == nil || !strings.Contains(err.Error(), "deploy the application again") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhoScaledBack(t *testing.T) {
	now, before := metav1.Now(), metav1.NewTime(metav1.Now().Add(-1e9))
	fields := func(text string) *metav1.FieldsV1 { return metav1.NewFieldsV1(text) }
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "api", ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Time: &before, FieldsV1: fields(`{"f:spec":{"f:replicas":{}}}`)},
		{Manager: "argocd-controller", Time: &now, FieldsV1: fields(`{"f:spec":{"f:replicas":{},"f:template":{}}}`)},
		{Manager: "other", Time: &now, FieldsV1: fields(`{"f:spec":{"f:template":{}}}`)},
		{Manager: fieldManager, Time: &now, FieldsV1: fields(`{"f:spec":{"f:replicas":{}}}`)},
		{Manager: "broken", Time: &now, FieldsV1: fields(`{`)},
	}}}
	d.Spec.Replicas = ptr[int32](2)
	c := scaledBack(&Workload{Deployment: d})
	if c.Manager != "argocd-controller" || c.Detail != "deployment api was scaled to 2 by argocd-controller" || !strings.Contains(c.Hint, "/spec/replicas") {
		t.Errorf("got %+v", c)
	}
	for _, manager := range []string{"argocd-application-controller", "kustomize-controller", "helm-controller", "keda", "fleetagent"} {
		if gitOpsHint(manager, &Workload{Deployment: d}) == "" {
			t.Errorf("no hint for %s", manager)
		}
	}
	if hint := gitOpsHint("kubectl", &Workload{Deployment: d}); hint != "" {
		t.Errorf("a hint for kubectl: %s", hint)
	}
}
