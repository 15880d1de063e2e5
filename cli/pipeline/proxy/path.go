package proxy

import "strings"

// target is the object or collection that a request's path names.
type target struct {
	// group is empty for the core group; resource is plural, as in the path.
	group, version, resource string
	// namespace is empty for what belongs to the cluster.
	namespace string
	// name is empty for a collection, subresource for the object itself.
	name, subresource string
}

// parsePath reads the paths of the Kubernetes API (Kubernetes API Concepts,
// "Resource URIs"): /api/v1/… and /apis/GROUP/VERSION/…, followed by
// [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]]. Other paths, such as
// /version, name no resource.
func parsePath(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var t target
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		t.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		t.group, t.version, parts = parts[1], parts[2], parts[3:]
	default:
		return target{}, false
	}
	// A namespace is an object too: /namespaces/NAME and its two subresources
	// do not lead into it.
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		t.namespace, parts = parts[1], parts[2:]
	}
	t.resource = parts[0]
	if len(parts) > 1 {
		t.name = parts[1]
	}
	if len(parts) > 2 {
		t.subresource = strings.Join(parts[2:], "/")
	}
	return t, true
}

// kind is the resource with its group, as kubectl spells it: deployments.apps.
func (t target) kind() string {
	if t.group == "" {
		return t.resource
	}
	return t.resource + "." + t.group
}

// collection is the path of the target without its name.
func (t target) collection() string {
	path := "/api/" + t.version
	if t.group != "" {
		path = "/apis/" + t.group + "/" + t.version
	}
	if t.namespace != "" {
		path += "/namespaces/" + t.namespace
	}
	return path + "/" + t.resource
}

// keeps reports whether the API server stores what is written to the target,
// and for longer than an answer: reviews are answers, events end by themselves.
func (t target) keeps() bool {
	switch t.group {
	case "authorization.k8s.io", "authentication.k8s.io", "events.k8s.io":
		return false
	case "":
		return t.resource != "events" && t.resource != "bindings" && t.resource != "componentstatuses"
	}
	return true
}
