package workload

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// remakeGrace is how long an original that is gone may take to come back (kubectl
// replace --force, helm upgrade --force, a sync that replaces), and a twin whose
// original lost its marks to go, as it does when an older CLI switches development
// mode off.
const remakeGrace = 10 * time.Second

// lost tells that the twin or its pod is gone, unless that is so because of what
// happened to the original, of which the watch may not know yet.
func (w *watcher) lost(ctx context.Context, c Change) {
	if w.a.Original.Sandbox {
		if !active(ctx, w.Target, w.a) {
			c = w.deactivated(nil)
		}
		w.emit(ctx, c)
		return
	}
	original, err := get(ctx, w.Target, w.a.Original.Kind(), w.a.Original.Meta().Name)
	switch {
	case apierrors.IsNotFound(err) || err == nil && original.Meta().DeletionTimestamp != nil:
		w.originalGone(ctx)
	case err == nil && !marked(original):
		w.unmarked(ctx, original)
	default: // what cannot be looked up counts as wanted
		w.emit(ctx, c)
	}
}

func (w *watcher) deactivated(now *Workload) Change {
	c := Change{Kind: Deactivated, Detail: "development mode of " + w.a.Original.String() + " was switched off"}
	if now != nil {
		c.Manager = lastManager(now)
	}
	return c
}

// originalGone waits for one of the same name: who deploys by deleting and creating
// does not mean to end anyone's environment.
func (w *watcher) originalGone(ctx context.Context) {
	old := w.a.Original
	err := poll(ctx, remakeGrace, old.String()+" to be made again", func(ctx context.Context) (bool, error) {
		now, err := get(ctx, w.Target, old.Kind(), old.Meta().Name)
		if err != nil || now.Meta().UID == old.Meta().UID {
			return false, nil // also without a connection
		}
		w.emit(ctx, madeAgain(now))
		return true, nil
	})
	if err != nil {
		w.emit(ctx, Change{Kind: OriginalDeleted, Detail: old.String() + " was deleted, and the environment with it"})
	}
}

func madeAgain(now *Workload) Change {
	c := Change{Kind: SpecChanged, Manager: lastManager(now), Detail: now.String() + " was deleted and made again"}
	if c.Manager != "" {
		c.Detail += " by " + c.Manager
	}
	return c
}

// unmarked decides whether development mode was switched off, or whether someone
// replaced the original and knew nothing of the marks: then its twin stays.
func (w *watcher) unmarked(ctx context.Context, now *Workload) {
	switch {
	case now.Meta().UID != w.a.Original.Meta().UID:
		w.emit(ctx, madeAgain(now))
		return
	case remembers(now): // see announce
		w.emit(ctx, w.deactivated(now))
		return
	}
	var again bool
	what := w.a.Twin.String() + " to go"
	err := poll(ctx, remakeGrace, what, func(ctx context.Context) (bool, error) {
		original, err := get(ctx, w.Target, now.Kind(), now.Meta().Name)
		if again = err == nil && marked(original); again {
			return true, nil // what the watch saw was old, or another up was faster
		}
		twin, err := get(ctx, w.Target, w.a.Twin.Kind(), w.a.Twin.Meta().Name)
		return apierrors.IsNotFound(err) || err == nil && twin.Meta().DeletionTimestamp != nil, nil
	})
	if err == nil {
		if !again {
			w.emit(ctx, w.deactivated(now))
		}
		return
	}
	c := Change{Kind: SpecChanged, Manager: lastManager(now), Detail: fmt.Sprintf("%s was replaced, and lost the marks of development mode", now)}
	if c.Manager != "" {
		c.Detail = fmt.Sprintf("%s was replaced by %s, and lost the marks of development mode", now, c.Manager)
	}
	w.emit(ctx, c)
}

// active reports whether an activation is still wanted: its original is marked,
// or its sandbox is there. What cannot be looked up counts as wanted.
func active(ctx context.Context, t Target, a *Activation) bool {
	if a.Original.Sandbox {
		twin, err := get(ctx, t, a.Twin.Kind(), a.Twin.Meta().Name)
		return !apierrors.IsNotFound(err) && (err != nil || twin.Meta().DeletionTimestamp == nil)
	}
	original, err := get(ctx, t, a.Original.Kind(), a.Original.Meta().Name)
	return err != nil || marked(original)
}
