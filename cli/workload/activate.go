package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/internal/contract"
)

// Verbs of a Step.
const (
	verbCreated  = "created"
	verbUpdated  = "updated"
	verbDeleted  = "deleted"
	verbScaled   = "scaled"
	verbRestored = "restored"
	verbWaiting  = "waiting for"
)

// undoTimeout bounds the clean-up after a failure.
const undoTimeout = 30 * time.Second

// activation is one run of Activate.
type activation struct {
	Target
	o            Options
	report       func(Step)
	original     *Workload
	twin         *Twin
	current      *Workload // the twin that is there already
	stranger     *Workload // one in its place that must go first
	fresh        bool
	madeTheClaim bool
}

func activate(ctx context.Context, t Target, o Options, report func(Step)) (*Activation, error) {
	if report == nil {
		report = func(Step) {}
	}
	a := &activation{Target: t, o: o, report: report}
	if err := a.begin(ctx); err != nil {
		return nil, err
	}
	if err := a.apply(ctx); err != nil {
		if a.fresh && ctx.Err() == nil {
			err = errors.Join(err, a.undo(ctx))
		}
		return nil, err
	}
	replaced := a.current != nil && a.current.Template().Annotations[contract.PodRevisionAnnotation] != a.twin.Revision
	return &Activation{Original: a.original, Twin: a.twin, Fresh: a.fresh, Replaced: replaced}, nil
}

// apply makes it so.
func (a *activation) apply(ctx context.Context) error {
	for _, claim := range a.twin.Claims {
		if err := a.done("PersistentVolumeClaim", claim.Name)(createMissing(ctx, a.Target, claim)); err != nil {
			return err
		}
	}
	if a.twin.Claim != nil {
		changed, err := applyClaim(ctx, a.Target, a.twin.Claim)
		a.madeTheClaim = changed == verbCreated
		if err := a.done("PersistentVolumeClaim", a.twin.Claim.Name)(changed, err); err != nil {
			return err
		}
	}
	if err := a.done("Secret", a.twin.Secret.Name)(applySecret(ctx, a.Target, a.twin.Secret)); err != nil {
		return err
	}
	// The original goes first when the twin needs its volumes, else the twin
	// starts while the original still answers.
	if !a.original.Sandbox && (a.current == nil || a.original.Replicas() > 0) && exclusive(ctx, a.Target, a.original) {
		if err := a.switchOff(ctx); err != nil {
			return err
		}
		if err := a.awaitPodsGone(ctx); err != nil {
			return err
		}
	}
	if err := a.applyTwin(ctx); err != nil {
		return err
	}
	if a.original.Sandbox {
		return a.finishSandbox(ctx)
	}
	if err := a.switchOff(ctx); err != nil {
		return err
	}
	return a.applyServices(ctx)
}

// done reports a change, if there was one.
func (a *activation) done(kind, name string) func(changed string, err error) error {
	return func(changed string, err error) error {
		if err == nil && changed != "" {
			a.report(Step{Verb: changed, Kind: kind, Name: name})
		}
		return err
	}
}

func (a *activation) applyTwin(ctx context.Context) error {
	applied, changed, err := applyWorkload(ctx, a.Target, a.current, a.twin.Workload)
	if err != nil {
		return err
	}
	a.twin.Workload = applied
	return a.done(string(applied.Kind()), applied.Meta().Name)(changed, nil)
}

// finishSandbox makes what hangs on the sandbox's own object.
func (a *activation) finishSandbox(ctx context.Context) error {
	secret := a.twin.Secret.DeepCopy()
	secret.OwnerReferences = []metav1.OwnerReference{ownerReference(a.twin.Workload)}
	if _, err := applySecret(ctx, a.Target, secret); err != nil {
		return err
	}
	services := a.Client.CoreV1().Services(a.Namespace)
	existing, err := services.Get(ctx, a.twin.Service.Name, metav1.GetOptions{})
	if err == nil {
		if existing.Annotations[contract.AutoCreateAnnotation] == "" {
			a.twin.Warnings = append(a.twin.Warnings, fmt.Sprintf("service %s exists and was left as it is", existing.Name))
		}
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("look up service %s: %w", a.twin.Service.Name, err)
	}
	service := a.twin.Service.DeepCopy()
	service.OwnerReferences = []metav1.OwnerReference{ownerReference(a.twin.Workload)}
	if _, err := services.Create(ctx, service, createOptions(false)); err != nil {
		return fmt.Errorf("create service %s: %w", service.Name, err)
	}
	return a.done("Service", service.Name)(verbCreated, nil)
}

// switchOff marks the original and scales it to 0.
func (a *activation) switchOff(ctx context.Context) error {
	next, was, err := markAndScale(ctx, a.Target, a.original)
	if err != nil {
		return err
	}
	next.NamespaceObject = a.original.NamespaceObject
	a.original = next
	if was > 0 {
		a.report(Step{Verb: verbScaled, Kind: string(next.Kind()), Name: next.Meta().Name, Detail: fmt.Sprintf("%d → 0", was)})
	}
	return nil
}

// awaitPodsGone waits for the original's pods to end.
func (a *activation) awaitPodsGone(ctx context.Context) error {
	reported := false
	return poll(ctx, a.Dev.Timeout.Resources, "the pods of "+a.original.String()+" to end", func(ctx context.Context) (bool, error) {
		pods, err := podsOf(ctx, a.Target, a.original)
		if err != nil || len(pods) == 0 {
			return err == nil, err
		}
		if !reported {
			reported = true
			a.report(Step{Verb: verbWaiting, Kind: "Pod", Name: pods[0].Name, Detail: "to release its volumes"})
		}
		return false, nil
	})
}

// podsOf lists a workload's own pods; those of its twin have the same labels
// and one more.
func podsOf(ctx context.Context, t Target, w *Workload) ([]corev1.Pod, error) {
	match, err := metav1.LabelSelectorAsSelector(w.selector())
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", w, err)
	}
	pods, err := t.Client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{LabelSelector: match.String()})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", w, err)
	}
	var own []corev1.Pod
	for _, pod := range pods.Items {
		set := labels.Set(pod.Labels)
		finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if set.Get(contract.InteractiveLabel) == "" && set.Get(contract.DetachedLabel) == "" && !finished {
			own = append(own, pod)
		}
	}
	return own, nil
}

// undo takes back what a fresh activation did before it failed.
func (a *activation) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if _, err := deactivate(ctx, a.Target, DownOptions{Volumes: a.madeTheClaim}); err != nil {
		return fmt.Errorf("undo what was done: %w; okteto down does it again", err)
	}
	return nil
}
