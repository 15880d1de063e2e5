package workload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// TranslateService makes the twin of one of the manifest's services: its own
// container with the environment's code mounted from the environment's volume,
// and no agents. It is as pure as Translate.
func TranslateService(w *Workload, dev *manifest.Dev, service *manifest.Service, o Options) (*ServiceTwin, error) {
	if w.StatefulSet != nil && len(w.StatefulSet.Spec.VolumeClaimTemplates) > 0 {
		return nil, fmt.Errorf("%s has claims of its own for each replica, and cannot be one of the services of %s", w, dev.Name)
	}
	// The parts of Translate that services share see the service's settings.
	settings := &manifest.Dev{
		Name: dev.Name, Container: service.Container, Image: service.Image, Workdir: service.Workdir,
		ImagePullPolicy: dev.ImagePullPolicy, Environment: service.Environment, Resources: service.Resources,
		Annotations: service.Annotations, Probes: dev.Probes, PersistentVolume: dev.PersistentVolume, Services: dev.Services,
	}
	t, err := newTranslation(w, settings, o)
	if err != nil {
		return nil, err
	}
	if err := t.checkOriginal(); err != nil {
		return nil, err
	}
	t.setService(service)
	volume := dev.Name + contract.VolumeSuffix
	t.template.Spec.Volumes = append(t.template.Spec.Volumes, corev1.Volume{
		Name: volume,
		VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: t.o.ClaimName},
		},
	})
	mounts := []corev1.VolumeMount{}
	for _, f := range service.Sync.Folders {
		mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: f.RemotePath, SubPath: sourceSubPath(dev, f.LocalPath)})
	}
	for _, v := range dev.Volumes {
		mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: v.RemotePath, SubPath: path.Join(contract.DataSubPath, v.RemotePath)})
	}
	for _, m := range mounts {
		if err := t.mount(m); err != nil {
			return nil, err
		}
	}
	t.shareNode()
	if _, err := t.stamp(); err != nil {
		return nil, err
	}
	twin, err := t.workload()
	if err != nil {
		return nil, err
	}
	replicas := w.originalReplicas()
	if service.Replicas != nil {
		replicas = *service.Replicas
	}
	if twin.StatefulSet != nil {
		twin.StatefulSet.Spec.Replicas = &replicas
	} else {
		twin.Deployment.Spec.Replicas = &replicas
	}
	return &ServiceTwin{Original: w, Twin: twin}, nil
}

func (t *translation) setService(service *manifest.Service) {
	c, dev := t.container, t.dev
	if dev.Image != "" {
		if dev.ImagePullPolicy == "" && dev.Image != c.Image {
			c.ImagePullPolicy = corev1.PullAlways
		}
		c.Image = dev.Image
	}
	if dev.ImagePullPolicy != "" {
		c.ImagePullPolicy = dev.ImagePullPolicy
	}
	if len(service.Command) > 0 {
		c.Command, c.Args = service.Command, nil
	}
	if len(service.Args) > 0 {
		c.Args = service.Args
	}
	if dev.Workdir != "" {
		c.WorkingDir = dev.Workdir
	}
	for _, v := range dev.Environment {
		setEnv(c, v.Name, v.Value)
	}
	t.setProbes()
	setResources(&c.Resources, dev.Resources)
	labels := maps.Clone(t.template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[contract.DetachedLabel] = dev.Name
	annotations := maps.Clone(t.template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, dev.Annotations)
	t.template.Labels, t.template.Annotations = labels, annotations
}

// originalReplicas of a workload that may be in development mode already.
func (w *Workload) originalReplicas() int32 {
	if marked(w) && w.Replicas() == 0 {
		if _, replicas, err := unmarkPatch(w); err == nil {
			return replicas
		}
	}
	return w.Replicas()
}

// shareNode keeps all pods that mount the environment's volume on one node,
// where a read-write-once volume can be used by several
// (pkg/k8s/apps/translate.go).
func (t *translation) shareNode() {
	if len(t.dev.Services) == 0 || t.dev.PersistentVolume.AccessMode == corev1.ReadWriteMany {
		return
	}
	sum := sha256.Sum256([]byte(t.dev.Name))
	label := contract.VolumeLabelPrefix + hex.EncodeToString(sum[:])[:8]
	t.template.Labels[label] = "true"
	affinity := &t.template.Spec.Affinity
	if *affinity == nil {
		*affinity = &corev1.Affinity{}
	}
	if (*affinity).PodAffinity == nil {
		(*affinity).PodAffinity = &corev1.PodAffinity{}
	}
	terms := &(*affinity).PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*terms = append(*terms, corev1.PodAffinityTerm{
		TopologyKey: corev1.LabelHostname,
		LabelSelector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: label, Operator: metav1.LabelSelectorOpExists}},
		},
	})
}

// planServices finds and translates the manifest's services.
func (a *activation) planServices(ctx context.Context) error {
	for i := range a.Dev.Services {
		service := &a.Dev.Services[i]
		original, err := lookUp(ctx, a.Target, service.Name, service.Selector, "")
		if err != nil {
			return fmt.Errorf("find a service of %s: %w", a.Dev.Name, err)
		}
		if original.String() == a.original.String() {
			return fmt.Errorf("%s is the environment %s itself and cannot be one of its services", original, a.Dev.Name)
		}
		twin, err := TranslateService(original, a.Dev, service, a.o)
		if err != nil {
			return err
		}
		a.twin.Services = append(a.twin.Services, twin)
	}
	return nil
}

// applyServices makes the twins of the services, and scales their originals.
func (a *activation) applyServices(ctx context.Context) error {
	for _, s := range a.twin.Services {
		name := s.Twin.Meta().Name
		current, err := get(ctx, a.Target, s.Twin.Kind(), name)
		switch {
		case apierrors.IsNotFound(err):
			current = nil
		case err != nil:
			return fmt.Errorf("look up %s: %w", name, err)
		case !isTwin(current) || current.Template().Labels[contract.DetachedLabel] != a.Dev.Name:
			return fmt.Errorf("%w: %s exists and is not a service of %s", ErrHeld, current, a.Dev.Name)
		}
		applied, changed, err := applyWorkload(ctx, a.Target, current, s.Twin)
		if err != nil {
			return err
		}
		s.Twin = applied
		if err := a.done(string(applied.Kind()), name)(changed, nil); err != nil {
			return err
		}
		next, was, err := markAndScale(ctx, a.Target, s.Original)
		if err != nil {
			return err
		}
		s.Original = next
		if was > 0 {
			a.report(Step{Verb: verbScaled, Kind: string(next.Kind()), Name: next.Meta().Name, Detail: fmt.Sprintf("%d → 0", was)})
		}
	}
	return nil
}
