package workload

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"okteto/internal/contract"
)

// followPods watches the pod in use.
func (w *watcher) followPods(ctx context.Context, used *Pod) informer {
	mine := func(o *metav1.ListOptions) { o.LabelSelector = contract.InteractiveLabel + "=" + w.Dev.Name }
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			mine(&o)
			return w.Client.CoreV1().Pods(w.Namespace).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch, error) {
			mine(&o)
			return w.Client.CoreV1().Pods(w.Namespace).Watch(ctx, o)
		},
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(orPolled(source), w.Client), ObjectType: &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { w.pod(ctx, object) },
			UpdateFunc: func(_, object any) { w.pod(ctx, object) },
			DeleteFunc: func(object any) {
				if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = tombstone.Obj
				}
				if pod, ok := object.(*corev1.Pod); ok {
					w.podGone(ctx, pod, "was deleted")
				}
			},
		},
	})
	return informer{controller, func() {
		if _, exists, err := store.GetByKey(w.Namespace + "/" + used.Name); err == nil && !exists {
			w.podGone(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: used.Name, UID: used.UID}}, "was deleted")
		}
	}}
}

func (w *watcher) pod(ctx context.Context, object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	switch {
	case pod.DeletionTimestamp != nil:
		w.podGone(ctx, pod, "is being deleted")
	case pod.Status.Phase == corev1.PodFailed:
		reason := orDefault(pod.Status.Message, pod.Status.Reason)
		w.podGone(ctx, pod, strings.TrimSuffix("failed: "+reason, ": "))
	default:
		w.restarted(ctx, pod)
	}
}

// podGone is told once per pod.
func (w *watcher) podGone(ctx context.Context, pod *corev1.Pod, how string) {
	w.mu.Lock()
	mine := w.podUID == string(pod.UID)
	if mine {
		w.podUID = ""
	}
	w.mu.Unlock()
	if mine {
		w.lost(ctx, Change{Kind: PodGone, Detail: "pod " + pod.Name + " " + how + disruption(pod)})
	}
}

// disruption is why the cluster removes a pod (KEP-3329).
func disruption(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Message != "" {
			return " (" + c.Message + ")"
		}
	}
	return ""
}

func (w *watcher) restarted(ctx context.Context, pod *corev1.Pod) {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name != w.container || s.State.Running == nil {
			continue
		}
		w.mu.Lock()
		changed := w.podUID == string(pod.UID) && w.containerID != "" && s.ContainerID != w.containerID
		if changed {
			w.containerID = s.ContainerID
		}
		w.mu.Unlock()
		if changed {
			detail := "container " + s.Name + " was restarted"
			if end := s.LastTerminationState.Terminated; end != nil {
				detail += fmt.Sprintf(" (%s, exit code %d)", orDefault(end.Reason, "ended"), end.ExitCode)
			}
			w.emit(ctx, Change{Kind: ContainerRestarted, Detail: detail})
		}
	}
}
