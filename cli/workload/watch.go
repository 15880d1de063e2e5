package workload

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// watcher follows an environment. Informers do the watching: they come back
// after any loss of the connection, and then tell what changed meanwhile.
type watcher struct {
	Target
	a       *Activation
	changes chan Change

	mu sync.Mutex // protects the following
	// spec is the digest that the twin was made from, podUID and containerID
	// are the pod in use.
	spec        string
	podUID      string
	containerID string
	container   string
	scaledBack  bool
}

func watchEnvironment(ctx context.Context, t Target, a *Activation) (<-chan Change, error) {
	w := &watcher{Target: t, a: a, changes: make(chan Change, 16), container: a.Twin.Container}
	w.spec = a.Twin.Meta().Annotations[contract.SpecAnnotation]
	if a.Pod != nil {
		w.podUID, w.containerID = string(a.Pod.UID), a.Pod.ContainerID
	}
	var informers []informer
	if !a.Original.Sandbox {
		informers = append(informers, w.follow(ctx, a.Original.Kind(), a.Original.Meta().Name, w.original, func() {
			w.originalGone(ctx)
		}))
	}
	informers = append(informers, w.follow(ctx, a.Twin.Kind(), a.Twin.Meta().Name, func(context.Context, *Workload) {}, func() {
		w.lost(ctx, Change{Kind: TwinGone, Detail: a.Twin.String() + " was deleted"})
	}))
	if a.Pod != nil {
		informers = append(informers, w.followPods(ctx, a.Pod))
	}
	var running sync.WaitGroup
	for _, i := range informers {
		running.Go(func() { i.controller.RunWithContext(ctx) })
		running.Go(func() {
			if cache.WaitForCacheSync(ctx.Done(), i.controller.HasSynced) {
				i.synced()
			}
		})
	}
	go func() {
		running.Wait()
		close(w.changes)
	}()
	return w.changes, nil
}

// informer follows one kind of object.
type informer struct {
	controller cache.Controller
	// synced is called when the first list is in: what is missing from it was
	// deleted before anyone looked.
	synced func()
}

// emit drops a change that nobody takes: the reader is about to act on an
// earlier one and will look at everything again.
func (w *watcher) emit(ctx context.Context, c Change) {
	if ctx.Err() != nil {
		return
	}
	select {
	case w.changes <- c:
	default:
	}
}

// follow watches one workload by name.
func (w *watcher) follow(ctx context.Context, kind manifest.Kind, name string, changed func(context.Context, *Workload), deleted func()) informer {
	one := func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name }
	var object runtime.Object = &appsv1.Deployment{}
	if kind == manifest.StatefulSet {
		object = &appsv1.StatefulSet{}
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			one(&o)
			if kind == manifest.StatefulSet {
				return w.Client.AppsV1().StatefulSets(w.Namespace).List(ctx, o)
			}
			return w.Client.AppsV1().Deployments(w.Namespace).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch, error) {
			one(&o)
			if kind == manifest.StatefulSet {
				return w.Client.AppsV1().StatefulSets(w.Namespace).Watch(ctx, o)
			}
			return w.Client.AppsV1().Deployments(w.Namespace).Watch(ctx, o)
		},
	}
	var seen atomic.Bool
	handle := func(object any) {
		seen.Store(true)
		switch o := object.(type) {
		case *appsv1.Deployment:
			changed(ctx, &Workload{Deployment: o})
		case *appsv1.StatefulSet:
			changed(ctx, &Workload{StatefulSet: o})
		}
	}
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(orPolled(source), w.Client), ObjectType: object,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    handle,
			UpdateFunc: func(_, object any) { handle(object) },
			DeleteFunc: func(any) { deleted() },
		},
	})
	return informer{controller, func() {
		if !seen.Load() {
			deleted()
		}
	}}
}

// original compares the original with what development mode made of it.
func (w *watcher) original(ctx context.Context, now *Workload) {
	if !marked(now) {
		w.unmarked(ctx, now)
		return
	}
	spec, err := specDigest(now)
	if err != nil {
		return
	}
	w.mu.Lock()
	changed := spec != w.spec
	w.spec = spec
	scaled := now.Replicas() > 0
	news := scaled && !w.scaledBack
	w.scaledBack = scaled
	w.mu.Unlock()
	if news {
		w.emit(ctx, scaledBack(now))
	}
	if changed {
		c := Change{Kind: SpecChanged, Manager: lastManager(now), Detail: now.String() + " was changed"}
		if c.Manager != "" {
			c.Detail += " by " + c.Manager
		}
		w.emit(ctx, c)
	}
}

// scaledBack names who did it and, for the controllers that will do it again,
// the setting that keeps them from it.
func scaledBack(now *Workload) Change {
	manager := managerOf(now, "f:spec", "f:replicas")
	c := Change{Kind: ScaledBack, Manager: manager, Detail: fmt.Sprintf("%s was scaled to %d", now, now.Replicas())}
	if manager != "" {
		c.Detail += " by " + manager
	}
	c.Hint = gitOpsHint(manager, now)
	return c
}
