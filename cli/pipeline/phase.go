package pipeline

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
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
	if !slices.Contains(builtIn(), r.Group) {
		return phaseCustom
	}
	if !namespaced {
		return phaseCluster
	}
	return phaseRest
}

// builtIn are the API groups of Kubernetes itself, and of its metrics, which has no
// objects. The names of others can look the same (gateway.networking.k8s.io).
func builtIn() []string {
	return []string{
		"", "admissionregistration.k8s.io", "apps", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
		"certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions",
		"flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "lifecycle.k8s.io", "metrics.k8s.io", "networking.k8s.io", "node.k8s.io",
		"policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
		"storagemigration.k8s.io",
	}
}
