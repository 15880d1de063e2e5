//go:build e2e

package workload

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	kubeapi "okteto/cli/kube/api"
	"okteto/cli/workload"
	"okteto/e2e/harness"
)

var errCut = errors.New("the way to the API server is gone")

// cut lets a number of requests through and then loses the way for good. Of the last
// one only the answer is lost, if late says so: the API server has carried it out.
type cut struct {
	next http.RoundTripper
	left *atomic.Int64
	late bool
}

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	left := c.left.Add(-1)
	if left > 0 {
		return c.next.RoundTrip(r)
	}
	if left == 0 && c.late {
		if answer, err := c.next.RoundTrip(r); err == nil {
			_ = answer.Body.Close()
		}
	}
	return nil, errCut
}

// after is a target whose way is lost at a request, the first one being 1.
func (s *space) after(t workload.Target, requests int, late bool) workload.Target {
	s.Helper()
	config := rest.CopyConfig(s.Config)
	left := new(atomic.Int64)
	left.Store(int64(requests))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cut{next, left, late} })
	client, err := kubeapi.New(config)
	if err != nil {
		s.Fatal(err)
	}
	t.Client = client
	return t
}

// TestCutAtEachRequest: up and down may lose the cluster at any of their requests,
// before or after it is carried out. Either is gone on from by the other and by
// itself, and what is left in the end is what was there before.
func TestCutAtEachRequest(t *testing.T) {
	for name, late := range map[string]bool{"the request is lost": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t, nil)
			before := s.create(api(nil))
			target, options := s.target(s.plain("persistentVolume: {enabled: false}")), s.options()
			bounded := func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), harness.Timeout) }
			up := func(t workload.Target) error {
				ctx, cancel := bounded()
				defer cancel()
				_, err := workload.Activate(ctx, t, options, nil)
				return err
			}
			down := func(t workload.Target) error {
				ctx, cancel := bounded()
				defer cancel()
				_, err := workload.Deactivate(ctx, t, workload.DownOptions{})
				return err
			}
			undone := func(what string, requests int) {
				t.Helper()
				if err := down(target); err != nil {
					t.Fatalf("down after %s was cut at request %d: %v", what, requests, err)
				}
				s.unchanged(before)
				s.noObjectsLeft()
				if t.Failed() {
					t.Fatalf("this is after %s was cut at request %d", what, requests)
				}
			}
			for whole, requests := false, 1; !whole; requests++ {
				whole = up(s.after(target, requests, late)) == nil
				if requests%2 == 0 {
					if err := up(target); err != nil {
						t.Fatalf("up after it was cut at request %d: %v", requests, err)
					}
				}
				undone("up", requests)
			}
			for whole, requests := false, 1; !whole; requests++ {
				if err := up(target); err != nil {
					t.Fatal(err)
				}
				whole = down(s.after(target, requests, late)) == nil
				undone("down", requests)
				t.Logf("%d requests", requests)
			}
			s.nothingLeft()
		})
	}
}
