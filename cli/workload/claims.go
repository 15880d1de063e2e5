package workload

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"okteto/internal/contract"
)

// claimName is the environment's claim: the contract's, unless only one of an
// older CLI exists.
func claimName(ctx context.Context, t Target) (string, error) {
	name, legacy := t.Dev.Name+contract.VolumeSuffix, contract.LegacyVolumePrefix+t.Dev.Name
	for _, candidate := range []string{name, legacy} {
		claim, err := t.Client.CoreV1().PersistentVolumeClaims(t.Namespace).Get(ctx, candidate, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && claim.Labels[contract.DevLabel] == "" && candidate == legacy {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look up claim %s: %w", candidate, err)
		}
		return candidate, nil
	}
	return name, nil
}

// applyClaim creates the environment's claim, or grows it. Nothing else of a
// claim can be changed.
func applyClaim(ctx context.Context, t Target, wanted *corev1.PersistentVolumeClaim) (changed string, err error) {
	claims := t.Client.CoreV1().PersistentVolumeClaims(t.Namespace)
	current, err := claims.Get(ctx, wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if _, err := claims.Create(ctx, wanted, createOptions(false)); err != nil {
			return "", fmt.Errorf("create claim %s: %w", wanted.Name, err)
		}
		return verbCreated, nil
	}
	if err != nil {
		return "", fmt.Errorf("look up claim %s: %w", wanted.Name, err)
	}
	if current.DeletionTimestamp != nil {
		return "", fmt.Errorf("claim %s is being deleted: try again when it is gone", wanted.Name)
	}
	if err := compareClaims(current, wanted, t.Dev.PersistentVolume.Size != nil); err != nil {
		return "", err
	}
	size := wanted.Spec.Resources.Requests[corev1.ResourceStorage]
	has := current.Spec.Resources.Requests[corev1.ResourceStorage]
	if t.Dev.PersistentVolume.Size == nil || size.Cmp(has) <= 0 {
		return "", nil
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := claims.Get(ctx, wanted.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Spec.Resources.Requests[corev1.ResourceStorage] = size
		_, err = claims.Update(ctx, now, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("grow claim %s from %s to %s: %w", wanted.Name, has.String(), size.String(), err)
	}
	return verbUpdated, nil
}

func compareClaims(current, wanted *corev1.PersistentVolumeClaim, sized bool) error {
	again := "okteto down --volumes deletes the old one, with what is on it"
	size, has := wanted.Spec.Resources.Requests[corev1.ResourceStorage], current.Spec.Resources.Requests[corev1.ResourceStorage]
	if sized && size.Cmp(has) < 0 {
		return fmt.Errorf("claim %s has %s and cannot shrink to persistentVolume.size %s: %s", current.Name, has.String(), size.String(), again)
	}
	if class := wanted.Spec.StorageClassName; class != nil && (current.Spec.StorageClassName == nil || *current.Spec.StorageClassName != *class) {
		return fmt.Errorf("claim %s has another storage class than persistentVolume.storageClass %s: %s", current.Name, *class, again)
	}
	if mode := wanted.Spec.AccessModes[0]; !slices.Contains(current.Spec.AccessModes, mode) && mode != corev1.ReadWriteOnce {
		return fmt.Errorf("claim %s does not have persistentVolume.accessMode %s: %s", current.Name, mode, again)
	}
	return nil
}

// createMissing makes a StatefulSet's claims if its first pod has never run.
func createMissing(ctx context.Context, t Target, claim *corev1.PersistentVolumeClaim) (changed string, err error) {
	claims := t.Client.CoreV1().PersistentVolumeClaims(t.Namespace)
	_, err = claims.Get(ctx, claim.Name, metav1.GetOptions{})
	if err == nil {
		return "", nil
	}
	if !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("look up claim %s: %w", claim.Name, err)
	}
	if _, err := claims.Create(ctx, claim, createOptions(false)); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("create claim %s: %w", claim.Name, err)
	}
	return verbCreated, nil
}

// exclusive reports whether the original and its twin must not run at the same
// time, since they mount a claim that is not made for several. A claim that
// cannot be looked up is taken for one.
func exclusive(ctx context.Context, t Target, w *Workload) bool {
	if w.StatefulSet != nil && len(w.StatefulSet.Spec.VolumeClaimTemplates) > 0 {
		return true
	}
	for _, v := range w.Template().Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := t.Client.CoreV1().PersistentVolumeClaims(t.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		shared := err == nil && (slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteMany) || slices.Contains(claim.Spec.AccessModes, corev1.ReadOnlyMany))
		if !shared {
			return true
		}
	}
	return false
}
