package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"okteto/internal/contract"
)

// translatedInPlace reports whether an older CLI (S, M) made the workload
// itself a development container.
func translatedInPlace(w *Workload) bool {
	a := w.Meta().Annotations
	return a[contract.DeploymentAnnotation] != "" || a[contract.StatefulSetAnnotation] != "" || a[contract.TranslationAnnotation] != ""
}

// restoreInPlace undoes the translation of an older CLI. It kept the original
// as JSON in an annotation of the same object, or, where a webhook of the
// original's platform did the work, the replicas only.
func restoreInPlace(ctx context.Context, t Target, w *Workload) (*Workload, error) {
	for range maxConflicts {
		next, err := inPlaceOriginal(w)
		if err != nil {
			return nil, err
		}
		restored, err := update(ctx, t, next)
		if err == nil {
			return forget(ctx, t, restored), nil
		}
		if !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("restore %s: %w", w, err)
		}
		if w, err = get(ctx, t, w.Kind(), w.Meta().Name); err != nil {
			return nil, fmt.Errorf("look up the original: %w", err)
		}
	}
	return nil, fmt.Errorf("restore %s: others keep changing it", w)
}

func inPlaceOriginal(w *Workload) (*Workload, error) {
	next := &Workload{NamespaceObject: w.NamespaceObject}
	annotations := w.Meta().Annotations
	fail := func(key string, err error) error {
		return fmt.Errorf("restore %s: its annotation %s cannot be read (%w); deploy the application again", w, key, err)
	}
	switch {
	case w.Deployment != nil && annotations[contract.DeploymentAnnotation] != "":
		var stored appsv1.Deployment
		if err := json.Unmarshal([]byte(annotations[contract.DeploymentAnnotation]), &stored); err != nil {
			return nil, fail(contract.DeploymentAnnotation, err)
		}
		next.Deployment = w.Deployment.DeepCopy()
		next.Deployment.Spec, next.Deployment.Labels, next.Deployment.Annotations = stored.Spec, stored.Labels, stored.Annotations
	case w.StatefulSet != nil && annotations[contract.StatefulSetAnnotation] != "":
		var stored appsv1.StatefulSet
		if err := json.Unmarshal([]byte(annotations[contract.StatefulSetAnnotation]), &stored); err != nil {
			return nil, fail(contract.StatefulSetAnnotation, err)
		}
		next.StatefulSet = w.StatefulSet.DeepCopy()
		next.StatefulSet.Spec, next.StatefulSet.Labels, next.StatefulSet.Annotations = stored.Spec, stored.Labels, stored.Annotations
	default:
		if err := fromTranslation(w, next); err != nil {
			return nil, fail(contract.TranslationAnnotation, err)
		}
	}
	cleanMarks(w, next)
	return next, nil
}

// fromTranslation undoes what the original's webhook was told to do: it takes
// its rules back once the annotation is gone; the replicas are ours to restore.
func fromTranslation(w, next *Workload) error {
	var stored struct {
		Replicas *int32                     `json:"replicas"`
		Strategy *appsv1.DeploymentStrategy `json:"strategy"`
	}
	if err := json.Unmarshal([]byte(w.Meta().Annotations[contract.TranslationAnnotation]), &stored); err != nil {
		return err
	}
	if w.StatefulSet != nil {
		next.StatefulSet = w.StatefulSet.DeepCopy()
		if stored.Replicas != nil {
			next.StatefulSet.Spec.Replicas = stored.Replicas
		}
	} else {
		next.Deployment = w.Deployment.DeepCopy()
		if stored.Replicas != nil {
			next.Deployment.Spec.Replicas = stored.Replicas
		}
		if stored.Strategy != nil {
			next.Deployment.Spec.Strategy = *stored.Strategy
		}
	}
	template := next.Template()
	for _, label := range []string{contract.DevLabel, contract.InteractiveLabel, contract.DetachedLabel} {
		delete(template.Labels, label)
	}
	return nil
}

// cleanMarks removes what development mode put on the object, also from a copy
// that was stored while it was on, and keeps Kubernetes' own revision.
func cleanMarks(w, next *Workload) {
	meta := next.Meta()
	meta.Labels, meta.Annotations = maps.Clone(meta.Labels), maps.Clone(meta.Annotations)
	labels, annotations := marks()
	for _, k := range labels {
		delete(meta.Labels, k)
	}
	for _, k := range annotations {
		delete(meta.Annotations, k)
	}
	if revision := w.Meta().Annotations[contract.KubeRevisionAnnotation]; revision != "" {
		if meta.Annotations == nil {
			meta.Annotations = map[string]string{}
		}
		meta.Annotations[contract.KubeRevisionAnnotation] = revision
	}
}
