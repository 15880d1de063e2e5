package workload

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// begin makes a plan, after it has undone what an older CLI made of the original,
// and asks the API server what it would say to it.
func (a *activation) begin(ctx context.Context) error {
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
	if err := a.plan(ctx); err != nil {
		return err
	}
	if a.stranger != nil {
		if err := a.removeStranger(ctx); err != nil {
			return err
		}
	}
	if a.current == nil {
		return a.rehearse(ctx)
	}
	return nil
}

// planOnly is for Plan: it changes nothing.
func planOnly(ctx context.Context, t Target, o Options) (*Twin, error) {
	a := &activation{Target: t, o: o}
	var err error
	if a.original, err = find(ctx, t); err != nil {
		return nil, err
	}
	if translatedInPlace(a.original) {
		if a.original, err = inPlaceOriginal(a.original); err != nil {
			return nil, err
		}
	}
	if err := a.lookAtTwin(ctx); err != nil {
		return nil, err
	}
	if err := a.plan(ctx); err != nil {
		return nil, err
	}
	return a.twin, nil
}

// plan decides what there shall be.
func (a *activation) plan(ctx context.Context) error {
	var err error
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
	return a.planServices(ctx)
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
	if holder := current.Template().Labels[contract.InteractiveLabel]; !developedAs(a.Dev, holder) {
		return fmt.Errorf("%w: %s is being developed as %s; okteto down %s ends that", ErrHeld, a.original, orDefault(holder, "a service of another environment"), holder)
	}
	stranger := !a.original.Sandbox && current.Meta().Labels[contract.CloneLabel] != string(a.original.Meta().UID)
	// A twin of the original CLI makes claims of its own, for life.
	stranger = stranger || current.StatefulSet != nil && len(current.StatefulSet.Spec.VolumeClaimTemplates) > 0
	if current.Meta().DeletionTimestamp == nil && !stranger {
		a.current = current
	} else {
		a.stranger = current
	}
	return nil
}

// developedAs reports whether a development pod's label names the environment.
// The original CLI takes it from a selector by component, if there is one
// (pkg/k8s/apps/translate.go).
func developedAs(dev *manifest.Dev, label string) bool {
	return label != "" && (label == dev.Name || label == dev.Selector["app.kubernetes.io/component"])
}

// removeStranger deletes a twin that cannot become this one.
func (a *activation) removeStranger(ctx context.Context) error {
	kind, name := a.stranger.Kind(), a.stranger.Meta().Name
	if err := remove(ctx, a.Target, a.stranger); err != nil {
		return err
	}
	a.report(Step{Verb: verbDeleted, Kind: string(kind), Name: name, Detail: "to make it anew"})
	return poll(ctx, a.Dev.Timeout.Resources, name+" to be deleted", func(ctx context.Context) (bool, error) {
		_, err := get(ctx, a.Target, kind, name)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}
