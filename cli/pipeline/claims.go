package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"okteto/internal/contract"
)

var ordinal = regexp.MustCompile(`^[0-9]+$`)

// markClaims marks the claims that StatefulSets of the pipeline made: their
// controller did, so the proxy never saw them, and without the sets nothing
// tells whose they are.
func (s *sweeper) markClaims(ctx context.Context) error {
	for _, namespace := range s.namespaces {
		labels := map[string]string{contract.DeployedByLabel: s.name}
		if namespace != s.client.Namespace {
			labels[contract.DeployedInLabel] = s.client.Namespace
		}
		if err := s.markClaimsIn(ctx, namespace, labels); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweeper) markClaimsIn(ctx context.Context, namespace string, labels map[string]string) error {
	selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
	sets, err := s.client.Clientset.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if apierrors.IsForbidden(err) {
		return nil // it has created none
	}
	if err != nil {
		return s.client.Explain(err, "list the stateful sets of namespace "+namespace)
	}
	var prefixes []string
	for _, set := range sets.Items {
		for _, template := range set.Spec.VolumeClaimTemplates {
			prefixes = append(prefixes, template.Name+"-"+set.Name+"-")
		}
	}
	if len(prefixes) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return fmt.Errorf("encode labels: %w", err)
	}
	api := s.client.Clientset.CoreV1().PersistentVolumeClaims(namespace)
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return s.client.Explain(err, "list the claims of namespace "+namespace)
	}
	for _, claim := range list.Items {
		if !madeBy(claim.Name, prefixes) || claim.Labels[contract.DeployedByLabel] != "" {
			continue
		}
		if _, err := api.Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return s.client.Explain(err, "mark claim "+claim.Name)
		}
	}
	return nil
}

// madeBy reports whether a claim's name is that of a template, a set and an
// ordinal (apps/v1, StatefulSet).
func madeBy(claim string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(claim, prefix); ok && ordinal.MatchString(rest) {
			return true
		}
	}
	return false
}
