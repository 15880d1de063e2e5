package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/cli/kube/api"
	"okteto/cli/manifest"
	"okteto/internal/contract"
)

func find(ctx context.Context, t Target) (*Workload, error) {
	namespace, err := allowedNamespace(ctx, t)
	if err != nil {
		return nil, err
	}
	w, err := lookUp(ctx, t, t.Dev.Name, t.Dev.Selector, t.Dev.Kind)
	switch {
	case err == nil && t.Dev.Autocreate:
		return nil, fmt.Errorf("%w: %s exists in namespace %s, and autocreate would put another beside it: remove autocreate from the manifest to develop in %s, or choose another name",
			ErrHeld, w, t.Namespace, w.Meta().Name)
	case errors.Is(err, ErrNotFound) && t.Dev.Autocreate:
		if w, err = sandbox(t); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	w.NamespaceObject = namespace
	return w, nil
}

// allowedNamespace returns the namespace, or nil if the user may not read it.
func allowedNamespace(ctx context.Context, t Target) (*corev1.Namespace, error) {
	namespace, err := t.Client.CoreV1().Namespaces().Get(ctx, t.Namespace, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no namespace %s: %w", ErrNotFound, t.Namespace, err)
	}
	if err != nil {
		return nil, fmt.Errorf("look up namespace %s: %w", t.Namespace, err)
	}
	if _, forbidden := namespace.Labels[contract.NotAllowedLabel]; forbidden {
		return nil, fmt.Errorf("%w: namespace %s has the label %s; choose another one with -n", ErrNotAllowed, t.Namespace, contract.NotAllowedLabel)
	}
	return namespace, nil
}

// lookUp finds one workload by labels, if there are any, else by name.
func lookUp(ctx context.Context, t Target, name string, selector map[string]string, kind manifest.Kind) (*Workload, error) {
	if len(selector) == 0 {
		return byName(ctx, t, name, kind)
	}
	text := labels.SelectorFromSet(selector).String()
	found, err := list(ctx, t, text, kind)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, isTwin)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("%w: nothing in namespace %s has the labels %s%s", ErrNotFound, t.Namespace, text, hintNames(ctx, t, "", kind))
	}
	return nil, fmt.Errorf("%w the labels %s in namespace %s: %s; add labels until one is left", ErrAmbiguous, text, t.Namespace, names(found))
}

func byName(ctx context.Context, t Target, name string, kind manifest.Kind) (*Workload, error) {
	if kind != manifest.StatefulSet {
		d, err := t.Client.AppsV1().Deployments(t.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return &Workload{Deployment: d}, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look up deployment %s: %w", name, err)
		}
	}
	if kind != manifest.Deployment {
		s, err := t.Client.AppsV1().StatefulSets(t.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return &Workload{StatefulSet: s}, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look up statefulset %s: %w", name, err)
		}
	}
	return nil, fmt.Errorf("%w: namespace %s has no deployment or statefulset %s%s", ErrNotFound, t.Namespace, name, hintNames(ctx, t, name, kind))
}

// list returns all workloads with the given labels.
func list(ctx context.Context, t Target, selector string, kind manifest.Kind) ([]*Workload, error) {
	var found []*Workload
	options := metav1.ListOptions{LabelSelector: selector}
	if kind != manifest.StatefulSet {
		all, err := t.Client.AppsV1().Deployments(t.Namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list deployments: %w", err)
		}
		for i := range all.Items {
			found = append(found, &Workload{Deployment: &all.Items[i]})
		}
	}
	if kind != manifest.Deployment {
		all, err := t.Client.AppsV1().StatefulSets(t.Namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list statefulsets: %w", err)
		}
		for i := range all.Items {
			found = append(found, &Workload{StatefulSet: &all.Items[i]})
		}
	}
	return found, nil
}

// isTwin also knows the sandboxes that autocreate makes.
func isTwin(w *Workload) bool {
	if _, ok := w.Meta().Labels[contract.CloneLabel]; ok {
		return true
	}
	return w.Meta().Annotations[contract.AutoCreateAnnotation] == contract.AutoCreateUp
}

func names(workloads []*Workload) string {
	list := make([]string, len(workloads))
	for i, w := range workloads {
		list[i] = w.String()
	}
	return strings.Join(list, ", ")
}

// hintNames says what there is instead, and which of it was probably meant. It
// is part of an error: that the list cannot be had is not worth another.
func hintNames(ctx context.Context, t Target, name string, kind manifest.Kind) string {
	found, err := list(ctx, t, "", kind)
	if err != nil {
		return ""
	}
	found = slices.DeleteFunc(found, isTwin)
	if len(found) == 0 {
		return "; there are none at all: deploy the application first, or set autocreate: true"
	}
	known := make([]string, len(found))
	for i, w := range found {
		known[i] = w.Meta().Name
	}
	if guess := manifest.Suggest(name, known); guess != "" && name != "" {
		return fmt.Sprintf("; did you mean %s?", guess)
	}
	const most = 8
	if len(found) > most {
		return fmt.Sprintf("; there are %s and %d more", names(found[:most]), len(found)-most)
	}
	return "; there are: " + names(found)
}

// sandbox is the workload that autocreate stands for. Only its twin is ever
// created (cmd/up/up.go).
func sandbox(t Target) (*Workload, error) {
	if t.Dev.Image == "" {
		return nil, fmt.Errorf("create a workload for %s: autocreate needs an image in the manifest", t.Dev.Name)
	}
	app := map[string]string{"app": t.Dev.Name}
	return &Workload{Sandbox: true, Deployment: &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: t.Dev.Name, Namespace: t.Namespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: orDefault(t.Dev.Container, "dev"), Image: t.Dev.Image,
				}}},
			},
		},
	}}, nil
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// List returns the workloads of a namespace that could be developed: all but
// the twins.
func List(ctx context.Context, client *api.Clientset, namespace string) ([]*Workload, error) {
	found, err := list(ctx, Target{Client: client, Namespace: namespace}, "", "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, isTwin), nil
}
