//go:build e2e

// Package agents proves the init image on a real cluster, with pods as the
// original CLI of each era makes them, and with a client that behaves as it.
package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/utils/ptr"

	"okteto/bin-image/original"
	"okteto/e2e/harness"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// timeout of a condition, far above what it takes.
const timeout = 2 * time.Minute

// environment is a dev environment of the original CLI, in a namespace of its own.
type environment struct {
	testing.TB
	*harness.Cluster
	namespace string
	dev       original.Dev
	keys      identity.Environment
	user      identity.UserKey
	pod       podOptions
}

// podOptions is what a manifest decides.
type podOptions struct {
	image    string
	uid      *int64
	readOnly bool
	// restricted fills in what the Pod Security Standard of that name asks for.
	restricted bool
	// persistent uses a claim, as persistentVolume.enabled does.
	persistent bool
	// shareProcesses runs the pause container as PID 1.
	shareProcesses bool
	memory         string
}

const name = "dev"

// setUp makes the namespace and the Secret.
func setUp(t testing.TB, dev original.Dev, pod podOptions, labels map[string]string) *environment {
	t.Helper()
	cluster, err := harness.Connect()
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{TB: t, Cluster: cluster, dev: dev, pod: pod}
	e.namespace = "agents-" + suffix()
	ctx := t.Context()
	if err := cluster.CreateNamespace(ctx, e.namespace, labels); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if t.Failed() {
			t.Logf("log of the pod:\n%s", e.logs(ctx, false))
		}
		if err := cluster.DeleteNamespace(ctx, e.namespace); err != nil {
			t.Log(err)
		}
	})
	if e.keys, err = identity.NewEnvironment(); err != nil {
		t.Fatal(err)
	}
	if e.dev.LocalID, err = e.keys.LocalDeviceID(); err != nil {
		t.Fatal(err)
	}
	if e.dev.RemoteID, err = e.keys.RemoteDeviceID(); err != nil {
		t.Fatal(err)
	}
	if e.user, err = userKey(t.TempDir(), dev.Era); err != nil {
		t.Fatal(err)
	}
	e.eventually("the namespace's service account", func(ctx context.Context) error {
		_, err := e.Client.CoreV1().ServiceAccounts(e.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	e.createSecret(ctx)
	if pod.persistent {
		e.createClaim(ctx)
	}
	return e
}

func (e *environment) createSecret(ctx context.Context) {
	e.Helper()
	files, err := e.dev.SyncSecret(string(e.keys.RemoteCert), string(e.keys.RemoteKey))
	if err != nil {
		e.Fatal(err)
	}
	for key, content := range e.dev.Secret(string(e.user.AuthorizedKey)) {
		files[contract.SecretItemPrefix+key] = content
	}
	_, err = e.Client.CoreV1().Secrets(e.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: contract.SecretPrefix + name, Labels: map[string]string{contract.DevLabel: "true"}},
		StringData: files,
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatal(err)
	}
}

func (e *environment) createClaim(ctx context.Context) {
	e.Helper()
	_, err := e.Client.CoreV1().PersistentVolumeClaims(e.namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: e.claim()},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatal(err)
	}
}

func (e *environment) claim() string {
	if e.dev.Era == original.H {
		return name + contract.VolumeSuffix
	}
	return contract.LegacyVolumePrefix + name
}

// spec of the pod, as the CLI of the era translates a Deployment.
func (e *environment) spec() corev1.PodSpec {
	security := e.security()
	volumes, mounts := e.volumes()
	limits := corev1.ResourceList{}
	if e.pod.memory != "" {
		// With both set everywhere the pod is guaranteed, and the kernel spares
		// it (oom_score_adj -997) but for what a test offers.
		limits[corev1.ResourceMemory] = resource.MustParse(e.pod.memory)
		limits[corev1.ResourceCPU] = resource.MustParse("500m")
	}
	resources := corev1.ResourceRequirements{Limits: limits}
	spec := corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To(int64(0)),
		ShareProcessNamespace:         ptr.To(e.pod.shareProcesses),
		InitContainers: []corev1.Container{{
			Name: contract.InitContainer, Image: harness.InitImage, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: e.dev.InitCommand(), SecurityContext: security, Resources: resources,
			VolumeMounts: []corev1.VolumeMount{{Name: contract.BinVolume, MountPath: contract.InitBinDir}},
		}},
		Containers: []corev1.Container{{
			Name: name, Image: e.pod.image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{contract.StartScript}, Args: e.dev.Args(),
			Env:             []corev1.EnvVar{{Name: contract.EnvNamespace, Value: e.namespace}, {Name: contract.EnvName, Value: name}},
			SecurityContext: security, VolumeMounts: mounts, Resources: resources,
		}},
		Volumes: volumes,
	}
	if e.pod.uid != nil {
		spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: e.pod.uid}
	}
	return spec
}

func (e *environment) security() *corev1.SecurityContext {
	security := &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr.To(e.pod.readOnly), RunAsUser: e.pod.uid}
	if e.pod.restricted {
		security.RunAsNonRoot = ptr.To(true)
		security.AllowPrivilegeEscalation = ptr.To(false)
		security.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
		security.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	return security
}

// volumes and where the dev container sees them.
func (e *environment) volumes() ([]corev1.Volume, []corev1.VolumeMount) {
	state := corev1.Volume{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	if e.pod.persistent {
		state.VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: e.claim()}}
	}
	volumes := append(e.secretVolumes(), state, corev1.Volume{
		Name: contract.BinVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	mounts := []corev1.VolumeMount{
		{Name: contract.BinVolume, MountPath: contract.BinDir},
		{Name: contract.SyncSecretVolume, MountPath: contract.SyncthingSecretDir + "/", ReadOnly: true},
		{Name: contract.DevSecretVolume, MountPath: contract.SecretDir + "/"},
		{Name: state.Name, MountPath: contract.SyncthingHome, SubPath: contract.SyncthingSubPath},
		{Name: state.Name, MountPath: contract.RemoteDir, SubPath: contract.RemoteSubPath},
	}
	if e.dev.Era == original.H {
		mounts = append(mounts, corev1.VolumeMount{Name: state.Name, MountPath: contract.SyncthingDataDir, SubPath: contract.SyncthingDataSubPath})
	}
	for i, f := range e.dev.Folders {
		if e.pod.persistent {
			mounts = append(mounts, corev1.VolumeMount{Name: state.Name, MountPath: f.Path, SubPath: fmt.Sprintf("%s/%d", contract.SourceSubPath, i)})
			continue
		}
		// Where the root file system is read-only or not ours, an emptyDir of
		// the application is what is synchronized.
		volume := fmt.Sprintf("folder-%d", i)
		volumes = append(volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: f.Path})
	}
	return volumes, mounts
}

func (e *environment) secretVolumes() []corev1.Volume {
	secret := func(volume string, mode int32, items []corev1.KeyToPath) corev1.Volume {
		return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: contract.SecretPrefix + name, DefaultMode: ptr.To(mode), Items: items,
		}}}
	}
	var syncItems, devItems []corev1.KeyToPath
	for _, file := range []string{contract.SyncthingConfigFile, contract.SyncthingCertFile, contract.SyncthingKeyFile} {
		syncItems = append(syncItems, corev1.KeyToPath{Key: file, Path: file, Mode: ptr.To(int32(0o444))})
	}
	for file := range e.dev.Secret("") {
		devItems = append(devItems, corev1.KeyToPath{Key: contract.SecretItemPrefix + file, Path: file, Mode: ptr.To(int32(0o644))})
	}
	return []corev1.Volume{secret(contract.SyncSecretVolume, 0o444, syncItems), secret(contract.DevSecretVolume, 0o644, devItems)}
}

// start makes the pod and waits until it is ready by its own account.
func (e *environment) start() {
	e.Helper()
	ctx := e.Context()
	_, err := e.Client.CoreV1().Pods(e.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{contract.InteractiveLabel: name},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": fmt.Sprint(contract.MetricsPort), "prometheus.io/path": "/metrics",
			},
		},
		Spec: e.spec(),
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatal(err)
	}
	e.ready()
}

// restart deletes the pod and starts another one.
func (e *environment) restart() {
	e.Helper()
	err := e.Client.CoreV1().Pods(e.namespace).Delete(e.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
	if err != nil {
		e.Fatal(err)
	}
	e.eventually("the old pod is gone", func(ctx context.Context) error {
		_, err := e.Client.CoreV1().Pods(e.namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return errNotYet
	})
	e.start()
}

var errNotYet = errors.New("not yet")

// page gets a page of the pod's listener through the API server.
func (e *environment) page(ctx context.Context, path string) (string, error) {
	body, err := e.Client.CoreV1().Pods(e.namespace).ProxyGet("http", name, fmt.Sprint(contract.MetricsPort), path, nil).DoRaw(ctx)
	return string(body), err
}

func (e *environment) ready() {
	e.Helper()
	e.eventually("the pod's /readyz", func(ctx context.Context) error {
		body, err := e.page(ctx, "/readyz")
		if err != nil {
			return fmt.Errorf("%w: %s", err, body)
		}
		// The pod may well answer before the API server knows that it runs.
		pod, err := e.Client.CoreV1().Pods(e.namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && pod.Status.Phase != corev1.PodRunning {
			err = fmt.Errorf("%w: %s", errNotYet, pod.Status.Phase)
		}
		return err
	})
}

func (e *environment) eventually(what string, check func(context.Context) error) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), timeout)
	defer cancel()
	if err := harness.Wait(ctx, what, check); err != nil {
		e.Fatal(err)
	}
}

// exec runs a command by the Kubernetes exec API, as the CLI runs clean.
func (e *environment) exec(stdin string, command ...string) (string, error) {
	request := e.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(e.namespace).Name(name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: name, Command: command, Stdin: stdin != "", Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(e.Config, "POST", request.URL())
	if err != nil {
		return "", err
	}
	var out, errOut bytes.Buffer
	options := remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut}
	if stdin != "" {
		options.Stdin = strings.NewReader(stdin)
	}
	ctx, cancel := context.WithTimeout(e.Context(), timeout)
	defer cancel()
	if err := executor.StreamWithContext(ctx, options); err != nil {
		return out.String(), fmt.Errorf("exec %v: %w: %s", command, err, errOut.String())
	}
	return out.String(), nil
}

// sh runs a script with the agents' own shell, which every image has.
func (e *environment) sh(script string) string {
	e.Helper()
	out, err := e.exec("", contract.Busybox, "sh", "-c", script)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

func (e *environment) logs(ctx context.Context, previous bool) string {
	body, err := e.Client.CoreV1().Pods(e.namespace).GetLogs(name, &corev1.PodLogOptions{Container: name, Previous: previous}).DoRaw(ctx)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
