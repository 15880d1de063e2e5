package workload

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// fieldManager is our name in the cluster's record of who changed what.
const fieldManager = "okteto"

func createOptions(dryRun bool) metav1.CreateOptions {
	o := metav1.CreateOptions{FieldManager: fieldManager}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return o
}

// get reads a workload by kind and name; the error is the API server's.
func get(ctx context.Context, t Target, kind manifest.Kind, name string) (*Workload, error) {
	if kind == manifest.StatefulSet {
		s, err := t.Client.AppsV1().StatefulSets(t.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return &Workload{StatefulSet: s}, nil
	}
	d, err := t.Client.AppsV1().Deployments(t.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &Workload{Deployment: d}, nil
}

func create(ctx context.Context, t Target, w *Workload, dryRun bool) (*Workload, error) {
	if w.StatefulSet != nil {
		s, err := t.Client.AppsV1().StatefulSets(t.Namespace).Create(ctx, w.StatefulSet, createOptions(dryRun))
		if err != nil {
			return nil, fmt.Errorf("create %s: %w", w, err)
		}
		return &Workload{StatefulSet: s, Sandbox: w.Sandbox}, nil
	}
	d, err := t.Client.AppsV1().Deployments(t.Namespace).Create(ctx, w.Deployment, createOptions(dryRun))
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", w, err)
	}
	return &Workload{Deployment: d, Sandbox: w.Sandbox}, nil
}

func update(ctx context.Context, t Target, w *Workload) (*Workload, error) {
	options := metav1.UpdateOptions{FieldManager: fieldManager}
	if w.StatefulSet != nil {
		s, err := t.Client.AppsV1().StatefulSets(t.Namespace).Update(ctx, w.StatefulSet, options)
		if err != nil {
			return nil, fmt.Errorf("update %s: %w", w, err)
		}
		return &Workload{StatefulSet: s, Sandbox: w.Sandbox}, nil
	}
	d, err := t.Client.AppsV1().Deployments(t.Namespace).Update(ctx, w.Deployment, options)
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", w, err)
	}
	return &Workload{Deployment: d, Sandbox: w.Sandbox}, nil
}

func patch(ctx context.Context, t Target, w *Workload, kind types.PatchType, body any) (*Workload, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", w, err)
	}
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if w.StatefulSet != nil {
		s, err := t.Client.AppsV1().StatefulSets(t.Namespace).Patch(ctx, w.StatefulSet.Name, kind, content, options)
		if err != nil {
			return nil, fmt.Errorf("change %s: %w", w, err)
		}
		return &Workload{StatefulSet: s}, nil
	}
	d, err := t.Client.AppsV1().Deployments(t.Namespace).Patch(ctx, w.Deployment.Name, kind, content, options)
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", w, err)
	}
	return &Workload{Deployment: d}, nil
}

// remove deletes exactly this object, not one that took its name meanwhile. It
// is no error that it is gone.
func remove(ctx context.Context, t Target, w *Workload) error {
	background := metav1.DeletePropagationBackground
	uid := w.Meta().UID
	options := metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid}}
	var err error
	if w.StatefulSet != nil {
		err = t.Client.AppsV1().StatefulSets(t.Namespace).Delete(ctx, w.StatefulSet.Name, options)
	} else {
		err = t.Client.AppsV1().Deployments(t.Namespace).Delete(ctx, w.Deployment.Name, options)
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s: %w", w, err)
	}
	return nil
}

// applySecret creates or replaces the environment's Secret.
func applySecret(ctx context.Context, t Target, secret *corev1.Secret) (changed string, err error) {
	secrets := t.Client.CoreV1().Secrets(t.Namespace)
	current, err := secrets.Get(ctx, secret.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if _, err = secrets.Create(ctx, secret, createOptions(false)); err != nil {
			return "", fmt.Errorf("create secret %s: %w", secret.Name, err)
		}
		return verbCreated, nil
	}
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", secret.Name, err)
	}
	wanted := secret.DeepCopy()
	if len(wanted.OwnerReferences) == 0 {
		wanted.OwnerReferences = current.OwnerReferences
	}
	if equalSecret(current, wanted) {
		return "", nil
	}
	if _, err := secrets.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return "", fmt.Errorf("update secret %s: %w", secret.Name, err)
	}
	return verbUpdated, nil
}

func equalSecret(a, b *corev1.Secret) bool {
	if len(a.Data) != len(b.Data) || len(a.OwnerReferences) != len(b.OwnerReferences) {
		return false
	}
	for k, v := range a.Data {
		if other, ok := b.Data[k]; !ok || string(other) != string(v) {
			return false
		}
	}
	for i := range a.OwnerReferences {
		if a.OwnerReferences[i].UID != b.OwnerReferences[i].UID {
			return false
		}
	}
	return a.Labels[contract.DevLabel] == b.Labels[contract.DevLabel]
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
	// The controller keeps writing the status; what is ours to say holds whatever
	// it says. Another object of this name has another UID, and is not replaced.
	meta.ResourceVersion = ""
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
