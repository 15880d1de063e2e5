package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	fresh        bool
	madeTheClaim bool
}

func activate(ctx context.Context, t Target, o Options, report func(Step)) (*Activation, error) {
	if report == nil {
		report = func(Step) {}
	}
	a := &activation{Target: t, o: o, report: report}
	if err := a.plan(ctx); err != nil {
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

// plan reads what there is and decides what there shall be. It changes nothing
// but a workload that an older CLI translated in place.
func (a *activation) plan(ctx context.Context) error {
	var err error
	if a.original, err = find(ctx, a.Target); err != nil {
		return err
	}
	if translatedInPlace(a.original) {
		restored, err := restoreInPlace(ctx, a.Target, a.original)
		if err != nil {
			return err
		}
		restored.NamespaceObject = a.original.NamespaceObject
		a.original = restored
		a.report(Step{Verb: verbRestored, Kind: string(a.original.Kind()), Name: a.original.Meta().Name, Detail: "from what an older okteto had made of it"})
	}
	if err := a.lookAtTwin(ctx); err != nil {
		return err
	}
	a.fresh = a.current == nil && !marked(a.original)
	if a.Dev.VolumeEnabled() && a.o.ClaimName == "" {
		if a.o.ClaimName, err = claimName(ctx, a.Target); err != nil {
			return err
		}
	}
	a.keepPod()
	if a.twin, err = translate(a.original, a.Dev, a.o); err != nil {
		return err
	}
	if err := a.planServices(ctx); err != nil {
		return err
	}
	if a.current == nil {
		return a.rehearse(ctx)
	}
	return nil
}

// keepPod carries over what an earlier run asked of the pod once, so that going on
// does not replace it. A reset is asked for once, too, but needs a new pod.
func (a *activation) keepPod() {
	switch {
	case a.o.Reset && a.o.Restart == "":
		a.o.Restart = time.Now().UTC().Format(time.RFC3339Nano)
	case a.current != nil && a.o.Restart == "":
		a.o.Restart = a.current.Template().Annotations[contract.RestartAnnotation]
	}
	if a.current == nil {
		return
	}
	for _, c := range a.current.Template().Spec.Containers {
		if slices.Equal(c.Command, []string{contract.StartScript}) && slices.Contains(c.Args, resetFlag) {
			a.o.Reset = true
		}
	}
}

// rehearse asks the API server what it would say, before anything is made.
func (a *activation) rehearse(ctx context.Context) error {
	_, err := create(ctx, a.Target, a.twin.Workload, true)
	// A webhook that does not take part in rehearsals (BadRequest) says nothing
	// about the real thing.
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return err
	}
	return nil
}

// lookAtTwin finds the twin of an earlier run, and refuses to touch one that
// is another environment's.
func (a *activation) lookAtTwin(ctx context.Context) error {
	name := a.original.Meta().Name + contract.TwinSuffix
	current, err := get(ctx, a.Target, a.original.Kind(), name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	if !isTwin(current) {
		return fmt.Errorf("%w: %s exists in namespace %s and is no twin of %s; rename one of them", ErrHeld, current, a.Namespace, a.original)
	}
	if holder := current.Template().Labels[contract.InteractiveLabel]; holder != a.Dev.Name {
		return fmt.Errorf("%w: %s is being developed as %s; okteto down %s ends that", ErrHeld, a.original, orDefault(holder, "a service of another environment"), holder)
	}
	stranger := !a.original.Sandbox && current.Meta().Labels[contract.CloneLabel] != string(a.original.Meta().UID)
	// A twin of the original CLI makes claims of its own, for life.
	stranger = stranger || current.StatefulSet != nil && len(current.StatefulSet.Spec.VolumeClaimTemplates) > 0
	if current.Meta().DeletionTimestamp == nil && !stranger {
		a.current = current
		return nil
	}
	if err := remove(ctx, a.Target, current); err != nil {
		return err
	}
	a.report(Step{Verb: verbDeleted, Kind: string(current.Kind()), Name: name, Detail: "to make it anew"})
	return poll(ctx, a.Dev.Timeout.Resources, name+" to be deleted", func(ctx context.Context) (bool, error) {
		_, err := get(ctx, a.Target, current.Kind(), name)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
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

// applyWorkload creates a twin, or replaces the one there is if it was made
// from something else.
func applyWorkload(ctx context.Context, t Target, current, wanted *Workload) (applied *Workload, changed string, err error) {
	if current == nil {
		if applied, err = create(ctx, t, wanted, false); err == nil {
			return applied, verbCreated, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, "", err
		}
		if current, err = get(ctx, t, wanted.Kind(), wanted.Meta().Name); err != nil {
			return nil, "", fmt.Errorf("look up %s: %w", wanted, err)
		}
	}
	same := current.Template().Annotations[contract.PodRevisionAnnotation] == wanted.Template().Annotations[contract.PodRevisionAnnotation] &&
		current.Meta().Annotations[contract.SpecAnnotation] == wanted.Meta().Annotations[contract.SpecAnnotation] &&
		current.Replicas() == wanted.Replicas()
	if same {
		current.Sandbox = wanted.Sandbox
		return current, "", nil
	}
	// Only what can change is taken over: selector, service name and pod
	// management policy of an object are for life.
	next := &Workload{Sandbox: wanted.Sandbox}
	if wanted.StatefulSet != nil {
		next.StatefulSet = current.StatefulSet.DeepCopy()
		next.StatefulSet.Spec.Replicas = wanted.StatefulSet.Spec.Replicas
		next.StatefulSet.Spec.Template = wanted.StatefulSet.Spec.Template
		next.StatefulSet.Spec.UpdateStrategy = wanted.StatefulSet.Spec.UpdateStrategy
	} else {
		next.Deployment = current.Deployment.DeepCopy()
		selector := next.Deployment.Spec.Selector
		next.Deployment.Spec = wanted.Deployment.Spec
		next.Deployment.Spec.Selector = selector
	}
	meta := next.Meta()
	revision := meta.Annotations[contract.KubeRevisionAnnotation]
	meta.Labels, meta.Annotations = wanted.Meta().Labels, wanted.Meta().Annotations
	if revision != "" {
		meta.Annotations[contract.KubeRevisionAnnotation] = revision
	}
	if applied, err = update(ctx, t, next); err != nil {
		return nil, "", err
	}
	return applied, verbUpdated, nil
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
