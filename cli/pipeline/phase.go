package pipeline

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Phases of a removal: each is gone before the next begins.
const (
	// phaseCustom goes first, while the controllers that finalize it run.
	phaseCustom = iota
	// phaseHooks would call what the next phases take away.
	phaseHooks
	// phaseScale are those that would start workloads again.
	phaseScale
	phaseWorkloads
	phaseRest
	phaseRights
	// phaseClaims is skipped unless volumes are to go.
	phaseClaims
	phaseCluster
	phaseNamespaces
)

// claims is the resource that holds data.
const claims = "persistentvolumeclaims"

func phaseOf(r schema.GroupVersionResource, namespaced bool) int {
	switch r.Group {
	case "admissionregistration.k8s.io", "apiregistration.k8s.io":
		return phaseHooks
	case "apiextensions.k8s.io":
		return phaseCluster
	case "autoscaling", "policy":
		return phaseScale
	case "rbac.authorization.k8s.io":
		if namespaced {
			return phaseRights
		}
	case "":
		switch r.Resource {
		case claims:
			return phaseClaims
		case "namespaces":
			return phaseNamespaces
		case "serviceaccounts":
			return phaseRights
		case "pods", "replicationcontrollers":
			return phaseWorkloads
		}
	case "apps", "batch":
		if r.Resource == "cronjobs" {
			return phaseScale
		}
		return phaseWorkloads
	}
	if !scheme.Scheme.IsGroupRegistered(r.Group) && !slices.Contains([]string{"metrics.k8s.io"}, r.Group) {
		return phaseCustom
	}
	if !namespaced {
		return phaseCluster
	}
	return phaseRest
}
