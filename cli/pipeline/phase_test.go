package pipeline

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// A group that Kubernetes adds is not taken for a custom one.
func TestBuiltInGroups(t *testing.T) {
	for _, version := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		if !slices.Contains(builtIn(), version.Group) {
			t.Errorf("the group %q is not known", version.Group)
		}
	}
	for group, want := range map[string]int{
		"networking.k8s.io": phaseRest, "gateway.networking.k8s.io": phaseCustom, "example.com": phaseCustom, "metrics.k8s.io": phaseRest,
	} {
		if got := phaseOf(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "things"}, true); got != want {
			t.Errorf("things of %q are in phase %d, want %d", group, got, want)
		}
	}
}
