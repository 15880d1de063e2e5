package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/internal/contract"
)

// maxConflicts is how often a change is tried again when someone else changed
// the object in between.
const maxConflicts = 10

// marked reports whether an original is in development mode.
func marked(w *Workload) bool {
	return remembers(w) && w.Meta().Labels[contract.DevLabel] != ""
}

// remembers reports whether an original knows how many replicas to go back to:
// it is in development mode, or was on its way out of it.
func remembers(w *Workload) bool {
	_, ok := w.Meta().Annotations[contract.ReplicasAnnotation]
	return ok
}

// markAndScale sets the contract's marks and no replicas, in one change that
// fails if anything else changed meanwhile, and is then tried again. was is the
// number of replicas just before.
func markAndScale(ctx context.Context, t Target, w *Workload) (next *Workload, was int32, err error) {
	for range maxConflicts {
		was = w.Replicas()
		body, needed := markPatch(w)
		if !needed {
			return w, was, nil
		}
		next, err = patch(ctx, t, w, types.MergePatchType, body)
		if !apierrors.IsConflict(err) {
			return next, was, err
		}
		if w, err = get(ctx, t, w.Kind(), w.Meta().Name); err != nil {
			return nil, 0, fmt.Errorf("look up the original: %w", err)
		}
	}
	return nil, 0, fmt.Errorf("scale %s: others keep changing it: %w", w, err)
}

// markPatch is a JSON merge patch (RFC 7396); needed is false when there is
// nothing to do.
func markPatch(w *Workload) (body map[string]any, needed bool) {
	meta := w.Meta()
	annotations := map[string]any{}
	replicas := w.Replicas()
	switch slept, asleep := sleeping(w); {
	case asleep:
		annotations[contract.ReplicasAnnotation] = strconv.Itoa(int(slept))
		annotations[contract.SleepAnnotation] = nil
	case replicas > 0 || !remembers(w):
		annotations[contract.ReplicasAnnotation] = strconv.Itoa(int(replicas))
	}
	for k, v := range map[string]string{contract.DevModeAnnotation: contract.DevModeSync, contract.VersionAnnotation: contract.TranslationVersion} {
		if meta.Annotations[k] != v {
			annotations[k] = v
		}
	}
	if len(annotations) == 0 && replicas == 0 && meta.Labels[contract.DevLabel] == "true" {
		return nil, false
	}
	return map[string]any{
		"metadata": map[string]any{
			"resourceVersion": meta.ResourceVersion,
			"labels":          map[string]any{contract.DevLabel: "true"},
			"annotations":     annotations,
		},
		"spec": map[string]any{"replicas": 0},
	}, true
}

// sleeping returns how many replicas a workload had before it was put to sleep.
func sleeping(w *Workload) (replicas int32, ok bool) {
	text := w.Meta().Annotations[contract.SleepAnnotation]
	if text == "" {
		return 0, false
	}
	var state struct {
		Replicas *int32 `json:"replicas"`
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil || state.Replicas == nil {
		return 0, false
	}
	return *state.Replicas, true
}

// marks are all that development mode leaves on an original, in any era.
func marks() (labels, annotations []string) {
	return []string{contract.DevLabel},
		[]string{
			contract.ReplicasAnnotation, contract.DevModeAnnotation, contract.VersionAnnotation,
			contract.DeploymentAnnotation, contract.StatefulSetAnnotation, contract.RevisionAnnotation, contract.TranslationAnnotation,
		}
}

// announce takes the mark away, and nothing else: whoever watches learns that
// development mode ends before its twin goes, and does not bring it back.
func announce(ctx context.Context, t Target, w *Workload) error {
	if !marked(w) {
		return nil
	}
	_, err := patch(ctx, t, w, types.MergePatchType, map[string]any{
		"metadata": map[string]any{
			"labels":      map[string]any{contract.DevLabel: nil},
			"annotations": map[string]any{contract.DevModeAnnotation: nil},
		},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// unmark takes the marks away and gives the replicas back, unless someone has
// already scaled the original up.
func unmark(ctx context.Context, t Target, w *Workload) (next *Workload, replicas int32, err error) {
	for range maxConflicts {
		var body map[string]any
		if body, replicas, err = unmarkPatch(w); err != nil {
			return nil, 0, err
		}
		next, err = patch(ctx, t, w, types.MergePatchType, body)
		if err == nil {
			return forget(ctx, t, next), replicas, nil
		}
		if !apierrors.IsConflict(err) {
			return nil, 0, err
		}
		if w, err = get(ctx, t, w.Kind(), w.Meta().Name); err != nil {
			return nil, 0, fmt.Errorf("look up the original: %w", err)
		}
	}
	return nil, 0, fmt.Errorf("restore %s: others keep changing it: %w", w, err)
}

func unmarkPatch(w *Workload) (body map[string]any, replicas int32, err error) {
	replicas = w.Replicas()
	if text := w.Meta().Annotations[contract.ReplicasAnnotation]; text != "" && replicas == 0 {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return nil, 0, fmt.Errorf("restore %s: its annotation %s is %q, no number: correct it, or remove it and scale by hand", w, contract.ReplicasAnnotation, text)
		}
		replicas = int32(n)
	}
	removeLabels, removeAnnotations := marks()
	labels, annotations := map[string]any{}, map[string]any{}
	for _, k := range removeLabels {
		labels[k] = nil
	}
	for _, k := range removeAnnotations {
		annotations[k] = nil
	}
	return map[string]any{
		"metadata": map[string]any{
			"resourceVersion": w.Meta().ResourceVersion, "labels": labels, "annotations": annotations,
		},
		"spec": map[string]any{"replicas": replicas},
	}, replicas, nil
}

// forget takes our name out of the record of who manages which field: as the
// last one to set the replicas we would own them, and a server-side apply of
// another number would be a conflict. It is tidiness, so a failure is none of
// the caller's.
func forget(ctx context.Context, t Target, w *Workload) *Workload {
	for range maxConflicts {
		meta := w.Meta()
		kept := slices.DeleteFunc(slices.Clone(meta.ManagedFields), func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == fieldManager
		})
		if len(kept) == len(meta.ManagedFields) || len(kept) == 0 {
			return w
		}
		next, err := patch(ctx, t, w, types.JSONPatchType, []map[string]any{
			{"op": "test", "path": "/metadata/resourceVersion", "value": meta.ResourceVersion},
			{"op": "replace", "path": "/metadata/managedFields", "value": kept},
		})
		if err == nil {
			return next
		}
		// A failed test is Invalid: the controller has changed the status.
		if !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			return w
		}
		if next, err = get(ctx, t, w.Kind(), meta.Name); err != nil {
			return w
		}
		w = next
	}
	return w
}
