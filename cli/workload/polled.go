package workload

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// polledPeriod is how often is looked at what may be listed but not watched.
const polledPeriod = 2 * time.Second

// polled is the source of an informer for users whose role may lack `watch`: where
// the API server forbids that, it lists every polledPeriod and tells what is new.
type polled struct {
	source *cache.ListWatch

	mu sync.Mutex // protects the following
	// known is what the informer has been told, by UID.
	known map[types.UID]runtime.Object
}

func orPolled(source *cache.ListWatch) *cache.ListWatch {
	p := &polled{source: source}
	return &cache.ListWatch{ListWithContextFunc: p.list, WatchFuncWithContext: p.watch}
}

// list is the source's, and remembers it.
func (p *polled) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list, err := p.source.ListWithContextFunc(ctx, o)
	if err != nil {
		return nil, err
	}
	now, err := byUID(list)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Continue != "" { // a further page
		for uid, object := range p.known {
			now[uid] = object
		}
	}
	p.known = now
	return list, nil
}

// watch is the source's, or in its place a loop of lists. A watch that would begin
// with a list is refused as the server does: then the informer lists by itself.
func (p *polled) watch(ctx context.Context, o metav1.ListOptions) (apiwatch, error) {
	watched, err := p.source.WatchFuncWithContext(ctx, o)
	if !apierrors.IsForbidden(err) || o.SendInitialEvents != nil {
		return watched, err
	}
	o.ResourceVersion, o.ResourceVersionMatch, o.TimeoutSeconds, o.AllowWatchBookmarks = "", "", nil, false
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan watch.Event)
	go func() {
		defer close(events)
		p.poll(ctx, o, events)
	}()
	return &pollingWatch{events: events, cancel: cancel}, nil
}

// poll ends with ctx, or when it cannot list: what to do then the informer knows.
func (p *polled) poll(ctx context.Context, o metav1.ListOptions, events chan<- watch.Event) {
	ticker := time.NewTicker(polledPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		list, err := p.source.ListWithContextFunc(ctx, o)
		if err != nil {
			return
		}
		now, err := byUID(list)
		if err != nil {
			return
		}
		for _, event := range p.news(now) {
			select {
			case <-ctx.Done():
				return
			case events <- event:
			}
		}
	}
}

// news is what has changed since the last look. An object that was deleted and made
// again is two: the old one goes first.
func (p *polled) news(now map[types.UID]runtime.Object) []watch.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []watch.Event
	for uid, object := range p.known {
		if now[uid] == nil {
			events = append(events, watch.Event{Type: watch.Deleted, Object: object})
		}
	}
	for uid, object := range now {
		switch before := p.known[uid]; {
		case before == nil:
			events = append(events, watch.Event{Type: watch.Added, Object: object})
		case version(before) != version(object):
			events = append(events, watch.Event{Type: watch.Modified, Object: object})
		}
	}
	p.known = now
	return events
}

func version(object runtime.Object) string {
	m, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return m.GetResourceVersion()
}

func byUID(list runtime.Object) (map[types.UID]runtime.Object, error) {
	items, err := meta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	all := make(map[types.UID]runtime.Object, len(items))
	for _, item := range items {
		m, err := meta.Accessor(item)
		if err != nil {
			return nil, err
		}
		all[m.GetUID()] = item
	}
	return all, nil
}

// pollingWatch is what an informer sees of poll.
type pollingWatch struct {
	events <-chan watch.Event
	cancel context.CancelFunc
}

func (w *pollingWatch) ResultChan() <-chan watch.Event { return w.events }

func (w *pollingWatch) Stop() { w.cancel() }
