package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"okteto/cli/kube"
	"okteto/cli/pause"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

const (
	// listsAtOnce of the sweep: a cluster has some seventy kinds.
	listsAtOnce = 16
	// gonePoll is how often an object that is being deleted is looked for.
	gonePoll = 200 * time.Millisecond
)

// sweeper finds and deletes what carries a pipeline's mark.
type sweeper struct {
	client     *kube.Client
	metadata   metadata.Interface
	resources  []resource
	name       string
	namespaces []string // the pipeline's own first
	// created are the kinds that the pipeline created; empty if that is not known.
	created []string
	// warn is told, once each, what could not be looked at.
	warn   func(string)
	warned map[string]bool
	// unseen are created kinds that may not be listed, with their namespaces.
	unseen []string
}

// item is one marked object.
type item struct {
	resource
	metav1.ObjectMeta
}

func (i item) String() string {
	name := i.kind + "/" + i.Name
	if i.Namespace != "" {
		name += " in " + i.Namespace
	}
	return name
}

func newSweeper(ctx context.Context, c *kube.Client, name string, namespaces, created []string, warn func(string)) (*sweeper, error) {
	s := &sweeper{
		client: c, name: objectName(name), namespaces: append([]string{c.Namespace}, namespaces...), created: created,
		warn: warn, warned: map[string]bool{},
	}
	var err error
	if s.metadata, err = metadata.NewForConfig(c.Config); err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	lists, unanswered, err := c.Clientset.PreferredResources(ctx)
	if err != nil {
		return nil, c.Explain(err, "list the kinds of the cluster")
	}
	for _, version := range slices.Sorted(maps.Keys(unanswered)) {
		warn(fmt.Sprintf("a part of the cluster's API, %s, does not answer and is not searched: %v", version, unanswered[version]))
	}
	s.resources, err = deletable(lists)
	return s, err
}

// find lists all marked objects, the claims included, by the order of their
// deletion. What belongs to another object is not among them: it goes with it.
func (s *sweeper) find(ctx context.Context) ([]item, error) {
	var mu sync.Mutex // protects found, s.warned and s.unseen
	var found []item
	s.unseen = nil
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	list := func(r resource, namespace, selector string) {
		group.Go(func() error {
			items, err := s.list(ctx, r, namespace, selector)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, items...)
			if !apierrors.IsForbidden(err) {
				return err
			}
			s.forbidden(r, namespace)
			return nil
		})
	}
	own := contract.DeployedByLabel + "=" + s.name
	elsewhere := own + "," + contract.DeployedInLabel + "=" + s.client.Namespace
	for _, r := range s.resources {
		if !r.namespaced {
			list(r, "", elsewhere)
			continue
		}
		for i, namespace := range s.namespaces {
			if i == 0 {
				list(r, namespace, own)
			} else {
				list(r, namespace, elsewhere)
			}
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b item) int {
		if a.phase != b.phase {
			return a.phase - b.phase
		}
		return strings.Compare(a.String(), b.String())
	})
	return found, nil
}

// forbidden notes a kind that may not be listed: who deployed may have had more
// rights.
func (s *sweeper) forbidden(r resource, namespace string) {
	where := "cluster-wide"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	kind := r.gvr.GroupResource().String()
	switch {
	case slices.Contains(s.created, kind):
		s.unseen = append(s.unseen, kind+" "+where)
	case len(s.created) == 0 && r.namespaced && !s.warned[kind]:
		s.warned[kind] = true
		s.warn(fmt.Sprintf("not allowed to look for %s %s", kind, where))
	}
}

// complete reports a problem if there may be objects that were not found.
func (s *sweeper) complete() error {
	if len(s.unseen) == 0 {
		return nil
	}
	slices.Sort(s.unseen)
	return &ui.Problem{
		Summary: "not everything of pipeline " + s.name + " may be looked for",
		Detail:  "it created objects of these kinds, which you are not allowed to list:\n" + strings.Join(s.unseen, "\n"),
		Hint:    "what could be found is removed; let someone with more rights finish it:\nokteto pipeline destroy --name " + s.name + " -n " + s.client.Namespace,
	}
}

func (s *sweeper) list(ctx context.Context, r resource, namespace, selector string) ([]item, error) {
	list, err := s.metadata.Resource(r.gvr).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	switch {
	case apierrors.IsForbidden(err):
		return nil, err
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return nil, nil // its definition is gone meanwhile
	case err != nil:
		return nil, s.client.Explain(err, "list the "+r.gvr.Resource+" of the pipeline")
	}
	var found []item
	for _, o := range list.Items {
		if metav1.GetControllerOf(&o) == nil && o.Labels[contract.GitDeployLabel] == "" {
			found = append(found, item{r, o.ObjectMeta})
		}
	}
	return found, nil
}

// remove deletes objects phase by phase, and waits until those of a phase are
// gone before it begins the next. What may not be deleted ends it after its phase.
func (s *sweeper) remove(ctx context.Context, items []item, report func(item)) error {
	for len(items) > 0 {
		end := slices.IndexFunc(items, func(i item) bool { return i.phase != items[0].phase })
		if end < 0 {
			end = len(items)
		}
		var deleted []item
		var refused []string
		for _, i := range items[:end] {
			err := s.delete(ctx, i)
			if apierrors.IsForbidden(err) {
				refused = append(refused, i.String())
				continue
			}
			if err != nil {
				return err
			}
			report(i)
			deleted = append(deleted, i)
		}
		if err := s.waitGone(ctx, deleted); err != nil {
			return err
		}
		if len(refused) > 0 {
			return &ui.Problem{
				Summary: "not allowed to delete what pipeline " + s.name + " created",
				Detail:  strings.Join(refused, "\n"),
				Hint:    "let someone with more rights finish it:\nokteto pipeline destroy --name " + s.name + " -n " + s.client.Namespace,
			}
		}
		items = items[end:]
	}
	return nil
}

func (s *sweeper) delete(ctx context.Context, i item) error {
	// Foreground: a workload is gone when its pods are.
	propagation := metav1.DeletePropagationForeground
	err := s.metadata.Resource(i.gvr).Namespace(i.Namespace).Delete(ctx, i.Name, metav1.DeleteOptions{
		PropagationPolicy: &propagation,
		Preconditions:     &metav1.Preconditions{UID: &i.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another one by now
		return nil
	}
	if apierrors.IsForbidden(err) {
		return err
	}
	return s.client.Explain(err, "delete "+i.String())
}

func (s *sweeper) waitGone(ctx context.Context, items []item) error {
	for _, i := range items {
		for {
			live, err := s.metadata.Resource(i.gvr).Namespace(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || err == nil && live.UID != i.UID {
				break
			}
			if err != nil && ctx.Err() == nil {
				return s.client.Explain(err, "see whether "+i.String()+" is gone")
			}
			if err := pause.For(ctx, gonePoll); err != nil {
				if errors.Is(err, context.Canceled) {
					return err
				}
				return stuck(i, live, err)
			}
		}
	}
	return nil
}

func stuck(i item, live *metav1.PartialObjectMetadata, err error) error {
	problem := &ui.Problem{Summary: i.String() + " does not go away", Cause: err, Hint: "see what it waits for: kubectl describe " + i.kind + " " + i.Name + "\nand run the command again; it goes on where it stopped"}
	if live != nil && len(live.Finalizers) > 0 {
		problem.Detail = "it waits for its finalizers: " + strings.Join(live.Finalizers, ", ")
	}
	return problem
}

// resource is a kind of objects that can be listed and deleted.
type resource struct {
	gvr        schema.GroupVersionResource
	kind       string
	namespaced bool
	phase      int
}

func deletable(lists []*metav1.APIResourceList) ([]resource, error) {
	var result []resource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("list the kinds of the cluster: %w", err)
		}
		for _, r := range list.APIResources {
			derived := r.Name == "events" || r.Name == "endpoints" || r.Name == "endpointslices"
			if derived || strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") {
				continue
			}
			gvr := version.WithResource(r.Name)
			result = append(result, resource{gvr, strings.ToLower(r.Kind), r.Namespaced, phaseOf(gvr, r.Namespaced)})
		}
	}
	return result, nil
}
