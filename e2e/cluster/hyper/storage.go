package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	// provisioner is the name in image/manifests/default-storage.yaml.
	provisioner = "okteto-e2e/local-path"
	volumeRoot  = "/var/local-path-provisioner"
	nodeLabel   = "okteto-e2e/node" // on a volume: the node that holds it

	// What the scheduler and the volume controller agree on
	// (k8s.io/component-helpers/storage/volume).
	provisionerAnnotation   = "volume.kubernetes.io/storage-provisioner"
	selectedNodeAnnotation  = "volume.kubernetes.io/selected-node"
	provisionedByAnnotation = "pv.kubernetes.io/provisioned-by"
)

// storage makes a volume for each unbound claim whose pod was scheduled here,
// and removes the released volumes of this node.
func (a *agent) storage(ctx context.Context) error {
	claims, err := a.claims.List(labels.Everything())
	if err != nil {
		return err
	}
	volumes, err := a.volumes.List(labels.Everything())
	if err != nil {
		return err
	}
	var errs []error
	for _, claim := range claims {
		if claim.Spec.VolumeName == "" && claim.Spec.StorageClassName != nil &&
			claim.Annotations[provisionerAnnotation] == provisioner &&
			claim.Annotations[selectedNodeAnnotation] == a.node {
			errs = append(errs, a.provision(ctx, claim))
		}
	}
	for _, volume := range volumes {
		if volume.Annotations[provisionedByAnnotation] == provisioner &&
			volume.Labels[nodeLabel] == a.node &&
			volume.Status.Phase == corev1.VolumeReleased &&
			volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			errs = append(errs, a.remove(ctx, volume))
		}
	}
	return errors.Join(errs...)
}

func (a *agent) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	volume := a.volumeFor(claim)
	path := volume.Spec.HostPath.Path
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask is
		return err
	}
	_, err := a.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("volume for claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

func (a *agent) volumeFor(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	directory := corev1.HostPathDirectory
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{nodeLabel: a.node},
			Annotations: map[string]string{provisionedByAnnotation: provisioner},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			StorageClassName:              *claim.Spec.StorageClassName,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(volumeRoot, name), Type: &directory},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{a.node},
					}},
				}},
			}},
		},
	}
}

func (a *agent) remove(ctx context.Context, volume *corev1.PersistentVolume) error {
	path := volume.Spec.HostPath.Path
	if !strings.HasPrefix(path, volumeRoot+"/") {
		return fmt.Errorf("volume %s: %s is not below %s", volume.Name, path, volumeRoot)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := a.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}
