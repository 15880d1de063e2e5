package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// gracePeriod of the development pod, in seconds. The original has 0, which
// kills without TERM: what was just saved in the pod but not yet sent to the
// laptop is lost then. The agents need at most this long to drain; nothing
// waits when they are faster.
const gracePeriod = 5

// maxStatefulSetName is what fits, with the revision hash, in a label of its
// pods (63 characters).
const maxStatefulSetName = 52

// translation is one run of Translate: the parts below fill in the template.
type translation struct {
	w         *Workload
	dev       *manifest.Dev
	o         Options
	namespace string
	template  *corev1.PodTemplateSpec
	container *corev1.Container // in template
	inherited bool              // the image is the workload's own
	warnings  []string
	claims    []*corev1.PersistentVolumeClaim
	seeded    []corev1.VolumeMount // start with the image's content
}

func newTranslation(w *Workload, dev *manifest.Dev, o Options) (*translation, error) {
	t := &translation{w: w, dev: dev, o: o, namespace: w.Meta().Namespace, template: w.Template().DeepCopy()}
	if t.o.ClaimName == "" {
		t.o.ClaimName = dev.Name + contract.VolumeSuffix
	}
	index, err := containerIndex(t.template.Spec.Containers, dev.Container, w.String())
	if err != nil {
		return nil, err
	}
	t.container = &t.template.Spec.Containers[index]
	return t, nil
}

func translate(w *Workload, dev *manifest.Dev, o Options) (*Twin, error) {
	t, err := newTranslation(w, dev, o)
	if err != nil {
		return nil, err
	}
	for _, part := range []func() error{t.checkOriginal, t.setContainer, t.setSecurity, t.setPod, t.setVolumes, t.setSecrets, t.setInitContainers} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	t.setMetadata()
	t.shareNode()
	revision, err := t.stamp()
	if err != nil {
		return nil, err
	}
	twin := &Twin{
		Secret: t.secret(), Claims: t.claims, Container: t.container.Name, Revision: revision,
	}
	if dev.VolumeEnabled() {
		twin.Claim = t.claim()
	}
	if w.Sandbox {
		twin.Service = t.sandboxService()
	}
	if twin.Workload, err = t.workload(); err != nil {
		return nil, err
	}
	twin.Warnings = t.warnings
	return twin, nil
}

// stamp puts the template's digest in it.
func (t *translation) stamp() (string, error) {
	revision, err := digest(t.template)
	if err != nil {
		return "", err
	}
	t.template.Annotations[contract.PodRevisionAnnotation] = revision
	return revision, nil
}

func (t *translation) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

func containerIndex(containers []corev1.Container, name, workload string) (int, error) {
	known := make([]string, len(containers))
	for i, c := range containers {
		if name == "" || c.Name == name {
			return i, nil
		}
		known[i] = c.Name
	}
	if len(containers) == 0 {
		return 0, fmt.Errorf("%s has no container", workload)
	}
	return 0, fmt.Errorf("%s has no container %s; it has: %s", workload, name, strings.Join(known, ", "))
}

// checkOriginal refuses what cannot be put in development mode without losing
// something.
func (t *translation) checkOriginal() error {
	for _, v := range t.template.Spec.Volumes {
		if v.Name == contract.BinVolume || v.Name == contract.SyncSecretVolume {
			return fmt.Errorf("%s is a development container already (volume %s): restore it with the okteto that made it, or deploy it again", t.w, v.Name)
		}
		if v.Name == t.dev.Name+contract.VolumeSuffix {
			return fmt.Errorf("%s has a volume called %s, which development mode needs: rename it", t.w, v.Name)
		}
	}
	if t.template.Spec.OS != nil && t.template.Spec.OS.Name == corev1.Windows {
		return fmt.Errorf("%s runs on Windows, and okteto's agents on Linux only", t.w)
	}
	s := t.w.StatefulSet
	if s == nil {
		return nil
	}
	if len(s.Name)+len(contract.TwinSuffix) > maxStatefulSetName {
		return fmt.Errorf("the name of %s is too long: with %s it must fit in %d characters", t.w, contract.TwinSuffix, maxStatefulSetName)
	}
	policy := s.Spec.PersistentVolumeClaimRetentionPolicy
	if policy != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType && len(s.Spec.VolumeClaimTemplates) > 0 {
		return fmt.Errorf("%s deletes its claims when it is scaled down, and development mode scales it to 0: set persistentVolumeClaimRetentionPolicy.whenScaled to Retain", t.w)
	}
	return nil
}

// setContainer changes what the manifest asks for in the container itself.
func (t *translation) setContainer() error {
	c, dev := t.container, t.dev
	t.inherited = dev.Image == "" || dev.Image == c.Image
	if dev.Image != "" {
		c.Image = dev.Image
	}
	switch {
	case dev.ImagePullPolicy != "":
		c.ImagePullPolicy = dev.ImagePullPolicy
	case !t.inherited || t.w.Sandbox:
		// The contract's default. An inherited image keeps the workload's own
		// policy: it is what runs there already.
		c.ImagePullPolicy = corev1.PullAlways
	}
	if dev.Workdir != "" {
		c.WorkingDir = dev.Workdir
	}
	t.setEnvironment()
	t.setProbes()
	t.setLifecycle()
	setResources(&c.Resources, dev.Resources)
	return nil
}

func (t *translation) setEnvironment() {
	for _, v := range t.dev.Environment {
		setEnv(t.container, v.Name, v.Value)
	}
	setEnv(t.container, contract.EnvNamespace, t.namespace)
	setEnv(t.container, contract.EnvName, t.dev.Name)
	if t.o.UserName != "" {
		setEnv(t.container, contract.EnvUserName, t.o.UserName)
	}
	if port := t.dev.SSHServerPort; port != 0 && port != contract.SSHPort {
		setEnv(t.container, contract.EnvRemotePort, fmt.Sprint(port))
	}
	if !t.dev.VolumeEnabled() {
		return
	}
	// The shell's history outlives the pod (pkg/model/dev.go).
	for _, v := range [][2]string{
		{"HISTSIZE", "10000000"},
		{"HISTFILESIZE", "10000000"},
		{"HISTCONTROL", "ignoreboth:erasedups"},
		{"HISTFILE", contract.BashHistoryDir + "/.bash_history"},
		{"BASHOPTS", "histappend"},
		{"PROMPT_COMMAND", "history -a ; history -c ; history -r"},
	} {
		if !slices.ContainsFunc(t.container.Env, func(e corev1.EnvVar) bool { return e.Name == v[0] }) {
			setEnv(t.container, v[0], v[1])
		}
	}
}

func setEnv(c *corev1.Container, name, value string) {
	for i := range c.Env {
		if c.Env[i].Name == name {
			c.Env[i] = corev1.EnvVar{Name: name, Value: value}
			return
		}
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
}

func (t *translation) setProbes() {
	if !t.dev.Probes.Liveness {
		t.container.LivenessProbe = nil
	}
	if !t.dev.Probes.Readiness {
		t.container.ReadinessProbe = nil
	}
	if !t.dev.Probes.Startup {
		t.container.StartupProbe = nil
	}
}

func (t *translation) setLifecycle() {
	wanted := t.dev.Lifecycle
	if wanted == nil {
		return
	}
	lifecycle := t.container.Lifecycle
	if lifecycle == nil {
		lifecycle = &corev1.Lifecycle{}
	}
	lifecycle.PostStart = hook(lifecycle.PostStart, wanted.PostStart)
	lifecycle.PreStop = hook(lifecycle.PreStop, wanted.PreStop)
	if *lifecycle == (corev1.Lifecycle{}) {
		lifecycle = nil
	}
	t.container.Lifecycle = lifecycle
}

func hook(original *corev1.LifecycleHandler, wanted manifest.Hook) *corev1.LifecycleHandler {
	switch {
	case wanted.Enabled != nil && !*wanted.Enabled:
		return nil
	case len(wanted.Command) > 0:
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: wanted.Command}}
	}
	return original
}

// setResources changes the named resources and keeps the others. A request
// above a kept limit, or a limit below a kept request, moves the other along:
// Kubernetes refuses such pairs.
func setResources(r *corev1.ResourceRequirements, wanted manifest.Resources) {
	for name, amount := range wanted.Requests {
		setAmount(&r.Requests, name, amount)
		if limit, ok := r.Limits[name]; ok && amount.Cmp(limit) > 0 {
			if _, named := wanted.Limits[name]; !named {
				setAmount(&r.Limits, name, amount)
			}
		}
	}
	for name, amount := range wanted.Limits {
		setAmount(&r.Limits, name, amount)
		if request, ok := r.Requests[name]; ok && request.Cmp(amount) > 0 {
			setAmount(&r.Requests, name, amount)
		}
	}
}

// workload makes the twin's object around the template.
func (t *translation) workload() (*Workload, error) {
	spec, err := specDigest(t.w)
	if err != nil {
		return nil, err
	}
	meta := t.twinMeta(spec)
	one := int32(1)
	if s := t.w.StatefulSet; s != nil {
		twin := s.DeepCopy()
		twin.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}
		twin.ObjectMeta, twin.Status = meta, appsv1.StatefulSetStatus{}
		twin.Spec.Replicas, twin.Spec.Template = &one, *t.template
		twin.Spec.VolumeClaimTemplates = nil
		twin.Spec.PersistentVolumeClaimRetentionPolicy = nil
		twin.Spec.Ordinals, twin.Spec.MinReadySeconds = nil, 0
		// With the ordered policy a pod that never becomes ready would block
		// the update that repairs it.
		twin.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		twin.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}
		return &Workload{StatefulSet: twin, Sandbox: t.w.Sandbox}, nil
	}
	twin := t.w.Deployment.DeepCopy()
	twin.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	twin.ObjectMeta, twin.Status = meta, appsv1.DeploymentStatus{}
	twin.Spec.Replicas, twin.Spec.Template = &one, *t.template
	twin.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	twin.Spec.Paused, twin.Spec.MinReadySeconds = false, 0
	// Nobody rolls a twin back; old ReplicaSets would only pile up.
	twin.Spec.RevisionHistoryLimit = new(int32)
	return &Workload{Deployment: twin, Sandbox: t.w.Sandbox}, nil
}

// digest of anything that marshals to JSON, in hexadecimal.
func digest(v any) (string, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("digest %T: %w", v, err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// specDigest of an original: everything but the number of replicas.
func specDigest(w *Workload) (string, error) {
	if w.StatefulSet != nil {
		spec := w.StatefulSet.Spec.DeepCopy()
		spec.Replicas = nil
		return digest(spec)
	}
	spec := w.Deployment.Spec.DeepCopy()
	spec.Replicas = nil
	return digest(spec)
}
