package workload

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// apiwatch is the watch of the Kubernetes API.
type apiwatch = watch.Interface

// gitOpsHint knows the controllers that keep a workload as their sources say,
// by their field managers.
func gitOpsHint(manager string, w *Workload) string {
	switch {
	case strings.HasPrefix(manager, "argocd"):
		return "in the Argo CD Application add to spec.ignoreDifferences: {group: apps, kind: " + string(w.Kind()) + ", name: " + w.Meta().Name +
			", jsonPointers: [/spec/replicas]}, and to spec.syncPolicy.syncOptions: RespectIgnoreDifferences=true"
	case strings.HasPrefix(manager, "kustomize-controller"):
		return "annotate it while you develop: kubectl annotate " + strings.ToLower(string(w.Kind())) + " " + w.Meta().Name + " kustomize.toolkit.fluxcd.io/reconcile=disabled"
	case strings.HasPrefix(manager, "helm-controller"):
		return "suspend its release while you develop: flux suspend helmrelease " + orDefault(w.Meta().Annotations["meta.helm.sh/release-name"], "NAME")
	case strings.HasPrefix(manager, "keda"):
		return "pause it while you develop: kubectl annotate scaledobject NAME autoscaling.keda.sh/paused=true"
	case manager == "fleet" || strings.HasPrefix(manager, "fleetagent"):
		return "pause the Fleet GitRepo while you develop: spec.paused: true"
	}
	return ""
}

// managerOf is the latest field manager that owns a field of the object.
func managerOf(w *Workload, path ...string) string {
	entries := slices.Clone(w.Meta().ManagedFields)
	slices.SortStableFunc(entries, func(a, b metav1.ManagedFieldsEntry) int { return managedTime(b).Compare(managedTime(a)) })
	for _, e := range entries {
		if e.FieldsV1 != nil && e.Manager != fieldManager && ownsField(e.FieldsV1.GetRawBytes(), path) {
			return e.Manager
		}
	}
	return ""
}

// lastManager is who changed anything but the status last, other than us.
func lastManager(w *Workload) string {
	var newest time.Time
	manager := ""
	for _, e := range w.Meta().ManagedFields {
		if e.Subresource == "" && e.Manager != fieldManager && !managedTime(e).Before(newest) {
			newest, manager = managedTime(e), e.Manager
		}
	}
	return manager
}

func managedTime(e metav1.ManagedFieldsEntry) time.Time {
	if e.Time == nil {
		return time.Time{}
	}
	return e.Time.Time
}

// ownsField reports whether a set of managed fields (FieldsV1, KEP-555) has a
// path.
func ownsField(fields []byte, path []string) bool {
	for _, step := range path {
		var level map[string]json.RawMessage
		if err := json.Unmarshal(fields, &level); err != nil {
			return false
		}
		next, ok := level[step]
		if !ok {
			return false
		}
		fields = next
	}
	return true
}
