package builder

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/internal/contract"
)

const (
	// selector of all objects of the builder.
	selector  = contract.BuilderLabel + "=" + Name
	modeLabel = contract.BuilderLabel + "-mode"
	// user of the rootless image (docs/rootless.md of BuildKit).
	user = 1000
	// keepFinished is how long a builder that has ended stays to be seen.
	keepFinished = 60 * time.Second
	keysDir      = "/etc/okteto-builder"
	cacheDir     = "/var/lib/okteto-builder"
	cacheVolume  = "cache"
	keysVolume   = "keys"
	// restarts of a builder whose program fails, before its Job is given up.
	restarts = 1000
)

// script starts BuildKit and ends it when nobody was connected for a while.
//
//go:embed builder.sh
var script string

// creation is what this process made.
type creation struct{ secret, claim, job bool }

// ensure creates what is missing: keys, cache volume, Job. A Job that has ended
// is replaced.
func (b *Builder) ensure(ctx context.Context, config Config, mode Mode, made *creation) error {
	if err := b.ensureSecret(ctx, config, made); err != nil {
		return err
	}
	if !config.CacheSize.IsZero() {
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: b.meta(mode),
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: config.CacheSize}},
			},
		}
		_, err := b.Client.Clientset.CoreV1().PersistentVolumeClaims(b.Client.Namespace).Create(ctx, claim, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return b.Client.Explain(err, "create the builder's cache volume")
		}
		made.claim = made.claim || err == nil
	}
	return b.ensureJob(ctx, config, mode, made)
}

func (b *Builder) ensureJob(ctx context.Context, config Config, mode Mode, made *creation) error {
	jobs := b.Client.Clientset.BatchV1().Jobs(b.Client.Namespace)
	for {
		_, err := jobs.Create(ctx, b.job(config, mode), metav1.CreateOptions{})
		if err == nil {
			made.job = true
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return b.Client.Explain(err, "create the builder")
		}
		job, err := jobs.Get(ctx, Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return b.Client.Explain(err, "look for the builder")
		}
		if job.DeletionTimestamp == nil && !finished(job) {
			return nil // someone else's start, or one that is being restarted
		}
		if err := b.remove(ctx); err != nil {
			return err
		}
	}
}

func (b *Builder) ensureSecret(ctx context.Context, config Config, made *creation) error {
	secrets := b.Client.Clientset.CoreV1().Secrets(b.Client.Namespace)
	if _, err := secrets.Get(ctx, Name, metav1.GetOptions{}); err == nil || !apierrors.IsNotFound(err) {
		return b.Client.Explain(err, "look for the builder's keys")
	}
	data, err := newKeys()
	if err != nil {
		return err
	}
	data[configKey] = config.File
	_, err = secrets.Create(ctx, &corev1.Secret{ObjectMeta: b.meta(""), Data: data}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) { // someone else was faster
		return b.Client.Explain(err, "create the builder's keys")
	}
	made.secret = made.secret || err == nil
	return nil
}

func (b *Builder) meta(mode Mode) metav1.ObjectMeta {
	labels := map[string]string{contract.BuilderLabel: Name}
	if mode != "" {
		labels[modeLabel] = string(mode)
	}
	return metav1.ObjectMeta{Name: Name, Namespace: b.Client.Namespace, Labels: labels}
}

func (b *Builder) job(config Config, mode Mode) *batchv1.Job {
	backoff, after := int32(restarts), int32(keepFinished.Seconds())
	meta := b.meta(mode)
	return &batchv1.Job{
		ObjectMeta: meta,
		Spec: batchv1.JobSpec{
			BackoffLimit: &backoff, TTLSecondsAfterFinished: &after,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels, Annotations: map[string]string{
					// An evicted builder costs a build, an autoscaler should know.
					"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
				}},
				Spec: podSpec(config, mode),
			},
		},
	}
}

func podSpec(config Config, mode Mode) corev1.PodSpec {
	image, no := config.Image, false
	if image == "" {
		image = map[Mode]string{Rootless: rootlessImage, Privileged: privilegedImage}[mode]
	}
	cache := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	if !config.CacheSize.IsZero() {
		cache = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: Name}}
	}
	readable := int32(0o440)
	spec := corev1.PodSpec{
		RestartPolicy:                corev1.RestartPolicyOnFailure,
		AutomountServiceAccountToken: &no,
		EnableServiceLinks:           &no,
		Containers: []corev1.Container{{
			Name: "buildkitd", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{"sh", "-c", script, "okteto-builder"},
			Args:    arguments(config, mode),
			Env:     []corev1.EnvVar{{Name: "IDLE_SECONDS", Value: strconv.Itoa(int(config.Idle.Seconds()))}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceCPU: config.CPU, corev1.ResourceMemory: config.Memory},
			},
			SecurityContext: security(mode),
			VolumeMounts: []corev1.VolumeMount{
				{Name: keysVolume, MountPath: keysDir, ReadOnly: true},
				{Name: cacheVolume, MountPath: cacheDir},
			},
		}},
		Volumes: []corev1.Volume{
			{Name: cacheVolume, VolumeSource: cache},
			{Name: keysVolume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: Name, DefaultMode: &readable,
				Items: []corev1.KeyToPath{
					{Key: serverCertKey, Path: serverCertKey},
					{Key: serverKeyKey, Path: serverKeyKey},
					{Key: clientCertKey, Path: clientCertKey},
					{Key: configKey, Path: configKey},
				},
			}}},
		},
	}
	if mode == Rootless {
		group := int64(user)
		spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	}
	return spec
}

// security is what BuildKit needs in each mode (docs/rootless.md and
// examples/kubernetes of BuildKit).
func security(mode Mode) *corev1.SecurityContext {
	yes := true
	if mode == Privileged {
		root := int64(0)
		return &corev1.SecurityContext{Privileged: &yes, RunAsUser: &root, RunAsGroup: &root}
	}
	id := int64(user)
	return &corev1.SecurityContext{
		RunAsUser: &id, RunAsGroup: &id,
		SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
	}
}

// arguments are the command that the script runs. The modes have caches of their
// own, since neither can read the other's files.
func arguments(config Config, mode Mode) []string {
	args := []string{"buildkitd"}
	if mode == Rootless {
		args = []string{"rootlesskit", "buildkitd", "--oci-worker-no-process-sandbox"}
	}
	args = append(args,
		"--root", cacheDir+"/"+string(mode),
		"--addr", fmt.Sprintf("tcp://127.0.0.1:%d", port),
		"--tlscacert", keysDir+"/"+clientCertKey,
		"--tlscert", keysDir+"/"+serverCertKey,
		"--tlskey", keysDir+"/"+serverKeyKey,
		"--config", keysDir+"/"+configKey,
	)
	if size := config.CacheSize.Value(); size > 0 {
		// In megabytes; the rest is for builds that run.
		args = append(args, "--oci-worker-gc", "--oci-worker-gc-keepstorage", strconv.FormatInt(size/1_000_000*8/10, 10))
	}
	return args
}
