package workload

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"okteto/internal/contract"
)

const (
	// podInterval is how often the events of a starting pod are looked at; its
	// own changes are watched.
	podInterval = time.Second
	// patience is how long a condition may last that sometimes heals by itself,
	// such as a missing ConfigMap.
	patience = 10 * time.Second
	// refusalPatience is for what the API server says about the pod itself.
	refusalPatience = 4 * time.Second
	// logLines of a failing container are shown.
	logLines = 20
)

// podWait is one run of WaitForPod.
type podWait struct {
	Target
	a        *Activation
	report   func(PodProgress)
	last     PodProgress
	trouble  string // the reason that patience runs for
	since    time.Time
	deadline time.Time
}

func waitForPod(ctx context.Context, t Target, a *Activation, report func(PodProgress)) (*Pod, error) {
	if report == nil {
		report = func(PodProgress) {}
	}
	w := &podWait{Target: t, a: a, report: report, deadline: time.Now().Add(t.Dev.Timeout.Resources)}
	watchCtx, stop := context.WithCancel(ctx)
	defer stop()
	changed := w.watchPods(watchCtx)
	ticker := time.NewTicker(podInterval)
	defer ticker.Stop()
	for {
		pod, err := w.look(ctx)
		if err != nil {
			return nil, err
		}
		if pod != nil {
			a.Pod = pod
			return pod, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		case <-ticker.C:
		}
	}
}

// watchPods signals when any development pod changes. Losing the watch costs
// speed only: the ticker looks as well.
func (w *podWait) watchPods(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	watcher, err := w.Client.CoreV1().Pods(w.Namespace).Watch(ctx, metav1.ListOptions{LabelSelector: w.selector()})
	if err != nil {
		return changed
	}
	go func() {
		defer watcher.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, ok := <-watcher.ResultChan():
				if !ok || event.Type == watch.Error {
					return
				}
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changed
}

func (w *podWait) selector() string { return contract.InteractiveLabel + "=" + w.Dev.Name }

// look takes one look at the cluster: the pod if it runs, an error if it never
// will.
func (w *podWait) look(ctx context.Context) (*Pod, error) {
	pods, err := w.Client.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{LabelSelector: w.selector()})
	if err != nil {
		return nil, fmt.Errorf("list development pods: %w", err)
	}
	current := currentPod(pods.Items, w.a.Twin.Revision)
	var state podState
	switch {
	case current == nil:
		if state, err = w.withoutPod(ctx, pods.Items); err != nil {
			return nil, err
		}
	default:
		if pod := runningPod(current, w.a.Twin.Container); pod != nil {
			w.tell(PodProgress{Phase: PhaseRunning, Pod: pod.Name, Message: "running on node " + pod.Node})
			return pod, nil
		}
		events, err := w.events(ctx, "Pod", current.Name)
		if err != nil {
			return nil, err
		}
		state = stateOf(current, w.a.Twin.Container, events)
	}
	w.tell(state.PodProgress)
	return nil, w.judge(ctx, state)
}

// tell reports what is new. A pod's phases go one way; its events do not always.
func (w *podWait) tell(p PodProgress) {
	order := []Phase{PhaseStarting, PhaseAttaching, PhasePulling, PhaseRunning}
	if p.Pod == w.last.Pod && !p.Warning && slices.Index(order, p.Phase) < slices.Index(order, w.last.Phase) {
		return
	}
	if p != w.last {
		w.last = p
		w.report(p)
	}
}

// judge ends the wait when the state is fatal, lasts too long, or the time is
// over.
func (w *podWait) judge(ctx context.Context, s podState) error {
	now := time.Now()
	if !s.Warning {
		w.trouble = ""
	} else if w.trouble != s.Reason {
		w.trouble, w.since = s.Reason, now
	}
	timeout := now.After(w.deadline)
	impatient := s.patience > 0 && w.trouble != "" && now.Sub(w.since) >= s.patience
	if !s.fatal && !impatient && !timeout {
		return nil
	}
	e := &PodError{Pod: s.Pod, Reason: s.Reason, Message: s.Message, Hint: s.hint, Timeout: timeout && !s.fatal && !impatient}
	if e.Timeout {
		e.Message = fmt.Sprintf("not running after %s: %s", w.Dev.Timeout.Resources, s.Message)
		e.Hint = orDefault(e.Hint, "a longer wait is timeout.resources in the manifest")
	}
	e.Reason = orDefault(e.Reason, "Timeout")
	if s.logsOf != "" {
		e.Log = w.logs(ctx, s.Pod, s.logsOf, s.logsPrevious)
	}
	return e
}

// logs are the last lines of a container; that there are none is no error.
func (w *podWait) logs(ctx context.Context, pod, container string, previous bool) string {
	lines := int64(logLines)
	stream, err := w.Client.CoreV1().Pods(w.Namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, TailLines: &lines, Previous: previous,
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	const most = 64 << 10
	content, err := io.ReadAll(io.LimitReader(stream, most))
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(content), "\n")
}

// withoutPod says why there is none.
func (w *podWait) withoutPod(ctx context.Context, others []corev1.Pod) (podState, error) {
	twin, err := get(ctx, w.Target, w.a.Twin.Kind(), w.a.Twin.Meta().Name)
	if apierrors.IsNotFound(err) {
		if !active(ctx, w.Target, w.a) {
			return podState{}, fmt.Errorf("%w: %s", ErrDeactivated, w.a.Original)
		}
		return podState{}, fmt.Errorf("%w: %s was deleted", ErrNotFound, w.a.Twin)
	}
	if err != nil {
		return podState{}, fmt.Errorf("look up %s: %w", w.a.Twin, err)
	}
	state := podState{PodProgress: PodProgress{Phase: PhaseStarting, Message: "creating the pod"}}
	if i := slices.IndexFunc(others, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }); i >= 0 {
		state.Message = "waiting for the previous pod " + others[i].Name + " to end"
	}
	if d := twin.Deployment; d != nil {
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				return w.refused(ctx, state, c.Reason, c.Message)
			}
		}
		return state, nil
	}
	events, err := w.events(ctx, "StatefulSet", twin.Meta().Name)
	if err != nil {
		return state, err
	}
	for _, e := range events {
		if e.Reason == "FailedCreate" && eventTime(&e).After(twin.Meta().CreationTimestamp.Time.Add(-time.Second)) {
			return w.refused(ctx, state, e.Reason, e.Message)
		}
	}
	return state, nil
}

// refused is the state of a pod that the API server does not accept: quotas,
// policies, admission webhooks. A quota may still be used up by the original's
// ending pods.
func (w *podWait) refused(ctx context.Context, state podState, reason, message string) (podState, error) {
	state.Reason, state.Message, state.Warning = reason, "the cluster refuses the pod: "+message, true
	state.hint = "the manifest's securityContext and resources change what is asked for"
	if !w.a.Original.Sandbox {
		ending, err := podsOf(ctx, w.Target, w.a.Original)
		if err != nil || len(ending) > 0 {
			return state, err
		}
	}
	state.patience = refusalPatience
	return state, nil
}

// events of an object, newest first.
func (w *podWait) events(ctx context.Context, kind, name string) ([]corev1.Event, error) {
	selector := fields.Set{"involvedObject.kind": kind, "involvedObject.name": name}.AsSelector().String()
	events, err := w.Client.CoreV1().Events(w.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	if apierrors.IsForbidden(err) {
		return nil, nil // the pod's own state says enough
	}
	if err != nil {
		return nil, fmt.Errorf("list events of %s: %w", name, err)
	}
	slices.SortStableFunc(events.Items, func(a, b corev1.Event) int { return eventTime(&b).Compare(eventTime(&a)) })
	return events.Items, nil
}

func eventTime(e *corev1.Event) time.Time {
	newest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.FirstTimestamp.Time, e.EventTime.Time} {
		if t.After(newest) {
			newest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(newest) {
		newest = e.Series.LastObservedTime.Time
	}
	return newest
}
