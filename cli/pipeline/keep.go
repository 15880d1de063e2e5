package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// keeping is what a destroy leaves, as people read it: volumes with what holds
// them, and what others use, with the reason.
type keeping struct{ volumes, used []string }

func isClaim(i item) bool      { return i.gvr.Group == "" && i.gvr.Resource == claims }
func isNamespace(i item) bool  { return i.gvr.Group == "" && i.gvr.Resource == "namespaces" }
func isDefinition(i item) bool { return i.gvr.Group == "apiextensions.k8s.io" }

// keep takes out of what is deleted what would take something along that is not
// to go: claims and namespaces with claims, unless volumes are to go, and
// definitions of which others have objects.
func (s *sweeper) keep(ctx context.Context, items []item, volumes bool) (rest []item, kept keeping, err error) {
	for _, i := range items {
		var reason string
		var err error
		switch {
		case !volumes && isClaim(i):
			kept.volumes = append(kept.volumes, i.String())
			continue
		case !volumes && isNamespace(i):
			reason, err = s.holdsVolumes(ctx, i)
		case isDefinition(i):
			reason, err = s.usedByOthers(ctx, i, items)
		}
		switch {
		case err != nil:
			return nil, kept, err
		case reason == "":
			rest = append(rest, i)
		case isNamespace(i):
			kept.volumes = append(kept.volumes, i.String())
		default:
			kept.used = append(kept.used, i.String()+", "+reason)
		}
	}
	return rest, kept, nil
}

// holdsVolumes says why a namespace stays: its claims would go with it, whoever
// made them.
func (s *sweeper) holdsVolumes(ctx context.Context, namespace item) (string, error) {
	list, err := s.client.Clientset.CoreV1().PersistentVolumeClaims(namespace.Name).List(ctx, metav1.ListOptions{Limit: 1})
	switch {
	case apierrors.IsForbidden(err):
		return "you are not allowed to see whether it has volumes", nil
	case err != nil:
		return "", s.client.Explain(err, "list the claims of namespace "+namespace.Name)
	case len(list.Items) > 0:
		return "it has volumes", nil
	}
	return "", nil
}

// usedByOthers says why a definition of custom resources stays: with it goes
// every object of its kind, in all namespaces.
func (s *sweeper) usedByOthers(ctx context.Context, definition item, items []item) (string, error) {
	ours := map[types.UID]bool{}
	for _, i := range items {
		ours[i.UID] = true
	}
	// Its name is that of the resource, with the group (CustomResourceDefinition).
	plural, group, _ := strings.Cut(definition.Name, ".")
	known := slices.IndexFunc(s.resources, func(r resource) bool { return r.gvr.Group == group && r.gvr.Resource == plural })
	if known < 0 {
		return "", nil // it defines nothing that the cluster serves
	}
	list, err := s.metadata.Resource(s.resources[known].gvr).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case apierrors.IsForbidden(err):
		return "you are not allowed to see whether others use it", nil
	case err != nil:
		return "", s.client.Explain(err, "list the "+definition.Name+" of all namespaces")
	}
	for _, o := range list.Items {
		owned := slices.ContainsFunc(o.OwnerReferences, func(r metav1.OwnerReference) bool { return ours[r.UID] })
		if !ours[o.UID] && !owned {
			other := item{resource: s.resources[known], ObjectMeta: o.ObjectMeta}
			return fmt.Sprintf("which others use: %s", other), nil
		}
	}
	return "", nil
}
