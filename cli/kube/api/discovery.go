package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// versionsAtOnce are asked for their resources; a cluster has some thirty.
const versionsAtOnce = 16

// ServerVersion asks the API server for its version.
func (c *Clientset) ServerVersion(ctx context.Context) (*version.Info, error) {
	info := &version.Info{}
	return info, c.get(ctx, "/version", info)
}

// PreferredResources lists the resources of all API groups, each in the version
// that its group prefers, or else in the first that has it. unanswered says of each
// group and version that could not be asked why, as when the server of an
// aggregated API is down.
func (c *Clientset) PreferredResources(ctx context.Context) (lists []*metav1.APIResourceList, unanswered map[string]error, err error) {
	groups := &metav1.APIGroupList{}
	if err := c.get(ctx, "/apis", groups); err != nil {
		return nil, nil, err
	}
	var paths []string
	of := map[string]string{"/api/v1": ""} // the group of a path
	paths = append(paths, "/api/v1")
	for _, group := range groups.Groups {
		for _, v := range preferredFirst(group) {
			path := "/apis/" + v
			paths = append(paths, path)
			of[path] = group.Name
		}
	}
	answers := make([]*metav1.APIResourceList, len(paths))
	failures := make([]error, len(paths))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(versionsAtOnce)
	for i, path := range paths {
		asking.Go(func() error {
			answers[i] = &metav1.APIResourceList{}
			failures[i] = c.get(ctx, path, answers[i])
			return ctx.Err()
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, nil, err
	}
	unanswered = map[string]error{}
	seen := map[string]bool{}
	for i, path := range paths {
		if failures[i] != nil {
			unanswered[strings.TrimPrefix(path, "/apis/")] = failures[i]
			continue
		}
		list := answers[i]
		list.APIResources = slices.DeleteFunc(list.APIResources, func(r metav1.APIResource) bool {
			name := r.Name + "." + of[path]
			known := seen[name]
			seen[name] = true
			return known
		})
		if len(list.APIResources) > 0 {
			lists = append(lists, list)
		}
	}
	return lists, unanswered, nil
}

// preferredFirst are the versions of a group, as group/version.
func preferredFirst(group metav1.APIGroup) []string {
	versions := []string{group.PreferredVersion.GroupVersion}
	for _, v := range group.Versions {
		if v.GroupVersion != versions[0] {
			versions = append(versions, v.GroupVersion)
		}
	}
	return versions
}

func (c *Clientset) get(ctx context.Context, path string, into any) error {
	body, err := c.core.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the API server's answer about %s: %w", path, err)
	}
	return nil
}
