package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/cli/pause"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// availablePoll is how often workloads are looked at.
const availablePoll = time.Second

// Reason of the Progressing condition of a Deployment that does not go on
// (apps/v1, DeploymentProgressing).
const deadlineExceeded = "ProgressDeadlineExceeded"

// workload that is not available yet, and why; failed says that it will not be.
type workload struct {
	name, reason string
	failed       bool
	selector     *metav1.LabelSelector
	namespace    string
}

// waitAvailable waits until all workloads of the pipeline are available: the
// newest revision of each, all of its replicas, and each Job complete.
func (o *DeployOptions) waitAvailable(ctx context.Context, s *session) error {
	progress := ui.NewProgress(o.Streams.ErrOut)
	defer progress.Close()
	progress.Step("Waiting until what was deployed is available")
	namespaces, _ := s.run.places()
	namespaces = append([]string{o.Client.Namespace}, namespaces...)
	var open []workload
	for {
		before := open
		open = nil
		for _, namespace := range namespaces {
			found, err := o.unavailable(ctx, namespace, objectName(s.name))
			if err != nil && ctx.Err() == nil {
				progress.Fail()
				return err
			}
			open = append(open, found...)
		}
		switch {
		case ctx.Err() != nil:
			open = before // what was seen of this look may be half
		case len(open) == 0:
			return nil
		}
		failed := slices.IndexFunc(open, func(w workload) bool { return w.failed })
		if failed >= 0 {
			progress.Fail()
			return o.notAvailable(ctx, open[failed:failed+1], nil)
		}
		if len(open) > 0 {
			progress.Update("%s: %s", open[0].name, open[0].reason)
		}
		if err := pause.For(ctx, availablePoll); err != nil {
			progress.Fail()
			if errors.Is(err, context.Canceled) {
				return err
			}
			return o.notAvailable(ctx, open, err)
		}
	}
}

func (o *DeployOptions) notAvailable(ctx context.Context, open []workload, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	var lines []string
	for _, w := range open {
		line := w.name + ": " + w.reason
		if reason := o.podReason(ctx, w); reason != "" {
			line += ": " + reason
		}
		lines = append(lines, line)
	}
	summary := "not everything that was deployed is available"
	if cause != nil {
		summary += fmt.Sprintf(" after %s", o.Timeout)
	}
	return &ui.Problem{
		Summary: summary,
		Detail:  strings.Join(lines, "\n"),
		Hint:    fmt.Sprintf("look at: kubectl -n %s get pods,events", o.Client.Namespace),
		Cause:   cause,
	}
}

func (o *DeployOptions) unavailable(ctx context.Context, namespace, name string) ([]workload, error) {
	options := metav1.ListOptions{LabelSelector: contract.DeployedByLabel + "=" + name}
	apps := o.Client.Clientset.AppsV1()
	explain := func(err error) error { return o.Client.Explain(err, "look at the workloads of namespace "+namespace) }
	var open []workload
	deployments, err := apps.Deployments(namespace).List(ctx, options)
	if err != nil {
		return nil, explain(err)
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		open = add(open, namespace, "deployment/"+d.Name, d.Spec.Selector, deploymentReason(d), slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentProgressing && c.Reason == deadlineExceeded && d.Status.ObservedGeneration >= d.Generation
		}))
	}
	sets, err := apps.StatefulSets(namespace).List(ctx, options)
	if err != nil {
		return nil, explain(err)
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		open = add(open, namespace, "statefulset/"+s.Name, s.Spec.Selector, statefulSetReason(s), false)
	}
	daemons, err := apps.DaemonSets(namespace).List(ctx, options)
	if err != nil {
		return nil, explain(err)
	}
	for i := range daemons.Items {
		d := &daemons.Items[i]
		open = add(open, namespace, "daemonset/"+d.Name, d.Spec.Selector, daemonSetReason(d), false)
	}
	jobs, err := o.Client.Clientset.BatchV1().Jobs(namespace).List(ctx, options)
	if err != nil {
		return nil, explain(err)
	}
	for i := range jobs.Items {
		j := &jobs.Items[i]
		reason, failed := jobReason(j)
		open = add(open, namespace, "job/"+j.Name, j.Spec.Selector, reason, failed)
	}
	return open, nil
}

func add(open []workload, namespace, name string, selector *metav1.LabelSelector, reason string, failed bool) []workload {
	if reason == "" {
		return open
	}
	return append(open, workload{name, reason, failed, selector, namespace})
}

// replicas that are wanted; 1 is Kubernetes' default.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func deploymentReason(d *appsv1.Deployment) string {
	want, s := replicas(d.Spec.Replicas), d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return "not looked at yet"
	case s.UpdatedReplicas < want:
		return fmt.Sprintf("%d of %d replicas updated", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		return fmt.Sprintf("%d old replicas to end", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < want:
		return fmt.Sprintf("%d of %d replicas available", s.AvailableReplicas, want)
	}
	return ""
}

func statefulSetReason(d *appsv1.StatefulSet) string {
	want, s := replicas(d.Spec.Replicas), d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return "not looked at yet"
	case s.ReadyReplicas < want:
		return fmt.Sprintf("%d of %d replicas ready", s.ReadyReplicas, want)
	case d.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && s.UpdateRevision != s.CurrentRevision && s.UpdatedReplicas < want:
		return fmt.Sprintf("%d of %d replicas updated", s.UpdatedReplicas, want)
	}
	return ""
}

func daemonSetReason(d *appsv1.DaemonSet) string {
	s := d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return "not looked at yet"
	case s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
		return fmt.Sprintf("%d of %d pods updated", s.UpdatedNumberScheduled, s.DesiredNumberScheduled)
	case s.NumberAvailable < s.DesiredNumberScheduled:
		return fmt.Sprintf("%d of %d pods available", s.NumberAvailable, s.DesiredNumberScheduled)
	}
	return ""
}

func jobReason(j *batchv1.Job) (reason string, failed bool) {
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete, c.Type == batchv1.JobSuspended:
			return "", false
		case c.Type == batchv1.JobFailed:
			return "failed: " + c.Message, true
		}
	}
	return "not complete", false
}

// podReason is what the first pod of a workload that does not run says.
func (o *DeployOptions) podReason(ctx context.Context, w workload) string {
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil || selector.Empty() {
		selector = labels.Nothing()
	}
	pods, err := o.Client.Clientset.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return "" // it only adds to an error that is told anyway
	}
	for _, pod := range pods.Items {
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if s.State.Waiting != nil && s.State.Waiting.Message != "" {
				return fmt.Sprintf("pod %s: %s: %s", pod.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
			}
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return fmt.Sprintf("pod %s: %s: %s", pod.Name, c.Reason, c.Message)
			}
		}
	}
	return ""
}
