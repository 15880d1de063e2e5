package workload

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// setVolumes adds the agents' and the environment's volumes.
func (t *translation) setVolumes() error {
	spec := &t.template.Spec
	t.adoptClaims()
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		Name: contract.BinVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	main := corev1.Volume{Name: t.dev.Name + contract.VolumeSuffix}
	if t.dev.VolumeEnabled() {
		main.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: t.o.ClaimName}
	} else {
		main.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	spec.Volumes = append(spec.Volumes, main)
	mounts := []corev1.VolumeMount{
		{Name: contract.BinVolume, MountPath: contract.BinDir},
		{Name: main.Name, MountPath: contract.SyncthingHome, SubPath: contract.SyncthingSubPath},
		{Name: main.Name, MountPath: contract.SyncthingDataDir, SubPath: contract.SyncthingDataSubPath},
		{Name: main.Name, MountPath: contract.RemoteDir, SubPath: contract.RemoteSubPath},
	}
	if t.dev.VolumeEnabled() {
		mounts = append(mounts, corev1.VolumeMount{Name: main.Name, MountPath: contract.BashHistoryDir, SubPath: contract.BashHistorySubPath})
	}
	t.seeded = t.folders(main.Name)
	mounts = append(mounts, t.seeded...)
	for i, v := range t.dev.ExternalVolumes {
		mounts = append(mounts, corev1.VolumeMount{Name: t.externalVolume(i, v), MountPath: v.MountPath, SubPath: v.SubPath})
	}
	for _, m := range mounts {
		if err := t.mount(m); err != nil {
			return err
		}
	}
	return nil
}

// mount adds a mount to the development container.
func (t *translation) mount(m corev1.VolumeMount) error {
	for _, existing := range t.container.VolumeMounts {
		if path.Clean(existing.MountPath) != path.Clean(m.MountPath) {
			continue
		}
		hint := "choose another path in the manifest"
		if slices.ContainsFunc(t.dev.Sync.Folders, func(f manifest.SyncFolder) bool { return f.RemotePath == path.Clean(m.MountPath) }) {
			hint = "choose another path in sync, or set persistentVolume.enabled: false to synchronize into that volume"
		}
		return fmt.Errorf("container %s of %s mounts volume %s at %s, where the environment's volume would be: %s",
			t.container.Name, t.w, existing.Name, existing.MountPath, hint)
	}
	t.container.VolumeMounts = append(t.container.VolumeMounts, m)
	return nil
}

// folders are those of the container that live on a volume: all with a
// persistent one. Without, synchronized folders are part of the container's own
// file system, except where its user could not create them.
func (t *translation) folders(volume string) []corev1.VolumeMount {
	var all []corev1.VolumeMount
	if !t.dev.VolumeEnabled() && !t.readOnlyRoot() && !t.notRoot() {
		return nil
	}
	for _, f := range t.dev.Sync.Folders {
		if !t.dev.VolumeEnabled() && t.mountedBelow(f.RemotePath) {
			continue
		}
		all = append(all, corev1.VolumeMount{Name: volume, MountPath: f.RemotePath, SubPath: sourceSubPath(t.dev, f.LocalPath)})
	}
	for _, v := range t.dev.Volumes {
		all = append(all, corev1.VolumeMount{Name: volume, MountPath: v.RemotePath, SubPath: path.Join(contract.DataSubPath, v.RemotePath)})
	}
	return all
}

// mountedBelow reports whether a path is on a volume of the workload already.
func (t *translation) mountedBelow(remote string) bool {
	return slices.ContainsFunc(t.container.VolumeMounts, func(m corev1.VolumeMount) bool {
		at := path.Clean(m.MountPath)
		return remote == at || strings.HasPrefix(remote, at+"/")
	})
}

// sourceSubPath is src, or src/<path below what all local folders have in
// common>, as the original has it (pkg/model/volumes.go).
func sourceSubPath(dev *manifest.Dev, local string) string {
	common := dev.Sync.Folders[0].LocalPath
	for _, f := range dev.Sync.Folders[1:] {
		for !below(common, f.LocalPath) {
			parent := filepath.Dir(common)
			if parent == common {
				break
			}
			common = parent
		}
	}
	rel, err := filepath.Rel(common, local)
	if err != nil || strings.HasPrefix(rel, "..") { // another drive
		rel = strings.TrimPrefix(local, filepath.VolumeName(local))
	}
	return path.Join(contract.SourceSubPath, filepath.ToSlash(rel))
}

func below(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// externalVolume returns the name of the pod's volume for a claim, which may
// be there already.
func (t *translation) externalVolume(i int, wanted manifest.ExternalVolume) string {
	for _, v := range t.template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == wanted.Name {
			return v.Name
		}
	}
	name := fmt.Sprintf("okteto-external-%d", i+1)
	t.template.Spec.Volumes = append(t.template.Spec.Volumes, corev1.Volume{
		Name: name,
		VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: wanted.Name},
		},
	})
	return name
}

// adoptClaims gives the twin the claims of a StatefulSet's first pod instead
// of templates, which would make new and empty ones.
func (t *translation) adoptClaims() {
	s := t.w.StatefulSet
	if s == nil {
		return
	}
	ordinal := int32(0)
	if s.Spec.Ordinals != nil {
		ordinal = s.Spec.Ordinals.Start
	}
	for i := range s.Spec.VolumeClaimTemplates {
		claim := s.Spec.VolumeClaimTemplates[i].DeepCopy()
		volume := claim.Name
		claim.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}
		claim.Name, claim.Namespace = fmt.Sprintf("%s-%s-%d", volume, s.Name, ordinal), s.Namespace
		claim.Status = corev1.PersistentVolumeClaimStatus{}
		if s.Spec.Selector != nil { // as the StatefulSet controller labels them
			for k, v := range s.Spec.Selector.MatchLabels {
				metav1.SetMetaDataLabel(&claim.ObjectMeta, k, v)
			}
		}
		t.claims = append(t.claims, claim)
		t.template.Spec.Volumes = slices.DeleteFunc(t.template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
		t.template.Spec.Volumes = append(t.template.Spec.Volumes, corev1.Volume{
			Name: volume,
			VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
			},
		})
	}
}

// claim is the environment's own volume.
func (t *translation) claim() *corev1.PersistentVolumeClaim {
	wanted := t.dev.PersistentVolume
	size := resource.MustParse(contract.DefaultVolumeSize)
	if wanted.Size != nil {
		size = *wanted.Size
	}
	mode := corev1.ReadWriteOnce
	if wanted.AccessMode != "" {
		mode = wanted.AccessMode
	}
	filesystem := corev1.PersistentVolumeFilesystem
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{
			Name: t.o.ClaimName, Namespace: t.namespace,
			Labels: map[string]string{}, Annotations: wanted.Annotations,
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			VolumeMode:  &filesystem,
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
	for k, v := range wanted.Labels {
		claim.Labels[k] = v
	}
	claim.Labels[contract.DevLabel] = "true"
	if wanted.StorageClass != "" {
		claim.Spec.StorageClassName = &wanted.StorageClass
	}
	return claim
}

func setAmount(list *corev1.ResourceList, name corev1.ResourceName, amount resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = amount.DeepCopy()
}
