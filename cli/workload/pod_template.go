package workload

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"okteto/internal/contract"
)

// setPod changes what the manifest asks for in the pod around the container.
func (t *translation) setPod() error {
	spec, dev := &t.template.Spec, t.dev
	grace := int64(gracePeriod)
	spec.TerminationGracePeriodSeconds = &grace
	shortenSleeps(spec, grace)
	spec.Tolerations = append(spec.Tolerations, dev.Tolerations...)
	if dev.NodeSelector != nil {
		spec.NodeSelector = maps.Clone(dev.NodeSelector)
	}
	if dev.Affinity != nil {
		spec.Affinity = dev.Affinity.DeepCopy()
	}
	if dev.ServiceAccount != "" {
		spec.ServiceAccountName, spec.DeprecatedServiceAccount = dev.ServiceAccount, dev.ServiceAccount
	}
	if dev.PriorityClass != "" {
		spec.PriorityClassName = dev.PriorityClass
	}
	return t.setLabels()
}

// shortenSleeps makes hooks that only sleep fit in the grace period, as Kubernetes
// demands.
func shortenSleeps(spec *corev1.PodSpec, grace int64) {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range containers {
			if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
				sleep := c.Lifecycle.PreStop.Sleep
				sleep.Seconds = min(sleep.Seconds, grace-1)
			}
		}
	}
}

func (t *translation) setLabels() error {
	selector, err := metav1.LabelSelectorAsSelector(t.w.selector())
	if err != nil {
		return fmt.Errorf("read the selector of %s: %w", t.w, err)
	}
	labels := maps.Clone(t.template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, t.dev.Metadata.Labels)
	labels[contract.InteractiveLabel] = t.dev.Name
	if !selector.Matches(labelSet(labels)) {
		return fmt.Errorf("metadata.labels in the manifest changes a label that %s selects its pods by (%s): remove it there", t.w, selector)
	}
	t.template.Labels = labels
	return nil
}

type labelSet map[string]string

func (s labelSet) Has(label string) bool   { _, ok := s[label]; return ok }
func (s labelSet) Get(label string) string { return s[label] }
func (s labelSet) Lookup(label string) (value string, exists bool) {
	value, exists = s[label]
	return value, exists
}

// setMetadata sets the pod's annotations.
func (t *translation) setMetadata() {
	annotations := maps.Clone(t.template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	// Prometheus scrapes one port per pod: an application's own metrics go first.
	if _, taken := annotations["prometheus.io/scrape"]; !taken {
		annotations["prometheus.io/scrape"] = "true"
		annotations["prometheus.io/port"] = strconv.Itoa(contract.MetricsPort)
		annotations["prometheus.io/path"] = "/metrics"
	}
	maps.Copy(annotations, t.dev.Annotations)
	maps.Copy(annotations, t.dev.Metadata.Annotations)
	annotations[contract.SyncAnnotation] = t.secretDigest()
	if t.o.Restart != "" {
		annotations[contract.RestartAnnotation] = t.o.Restart
	}
	t.template.Annotations = annotations
}

// owned tells the keys by which tools recognise what they manage. On a twin
// they would make the tool delete it, since it is not in its sources.
func owned(key string) bool {
	switch key {
	case "kubectl.kubernetes.io/last-applied-configuration", // kubectl apply --prune
		contract.KubeRevisionAnnotation,
		"app.kubernetes.io/instance",   // Argo CD's default tracking label before 3.0
		"app.kubernetes.io/managed-by": // helm
		return true
	}
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	for _, tool := range []string{"argocd.argoproj.io", "meta.helm.sh", "helm.sh", "toolkit.fluxcd.io", "kapp.k14s.io", "cattle.io", "config.k8s.io", "configmanagement.gke.io", "dev.okteto.com"} {
		if domain == tool || strings.HasSuffix(domain, "."+tool) {
			return true
		}
	}
	return false
}

// twinMeta is the twin's own metadata. As a dependent of the original it goes
// when the original does, and GitOps controllers leave it alone.
func (t *translation) twinMeta(spec string) metav1.ObjectMeta {
	original := t.w.Meta()
	meta := metav1.ObjectMeta{
		Name: original.Name + contract.TwinSuffix, Namespace: t.namespace,
		Labels: map[string]string{}, Annotations: map[string]string{},
	}
	for k, v := range original.Labels {
		if !owned(k) && k != contract.DevLabel {
			meta.Labels[k] = v
		}
	}
	for k, v := range original.Annotations {
		if !owned(k) {
			meta.Annotations[k] = v
		}
	}
	maps.Copy(meta.Annotations, t.dev.Metadata.Annotations)
	meta.Annotations[contract.DevModeAnnotation] = contract.DevModeSync
	meta.Annotations[contract.VersionAnnotation] = contract.TranslationVersion
	meta.Annotations[contract.SpecAnnotation] = spec
	if t.w.Sandbox {
		meta.Labels[contract.DevLabel] = "true"
		meta.Annotations[contract.AutoCreateAnnotation] = contract.AutoCreateUp
		return meta
	}
	meta.Labels[contract.CloneLabel] = string(original.UID)
	meta.OwnerReferences = []metav1.OwnerReference{ownerReference(t.w)}
	return meta
}

func ownerReference(w *Workload) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: string(w.Kind()), Name: w.Meta().Name, UID: w.Meta().UID}
}

// sandboxService makes a sandbox reachable in the cluster, on the port that the
// original uses (cmd/up/up.go).
func (t *translation) sandboxService() *corev1.Service {
	const port = 8080
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Name: t.dev.Name, Namespace: t.namespace,
			Labels:      map[string]string{contract.DevLabel: "true"},
			Annotations: map[string]string{contract.AutoCreateAnnotation: contract.AutoCreateUp},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: maps.Clone(t.w.Deployment.Spec.Selector.MatchLabels),
			Ports: []corev1.ServicePort{{Name: "http", Port: port, TargetPort: intstr.FromInt32(port)}},
		},
	}
}
