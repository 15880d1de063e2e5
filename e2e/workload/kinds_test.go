//go:build e2e

package workload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/workload"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

func database() *appsv1.StatefulSet {
	replicas, grace := int32(2), int64(1)
	app := map[string]string{"app": "db"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Labels: app},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{
						Name: "db", Image: harness.DevImage, ImagePullPolicy: corev1.PullIfNotPresent,
						// Fails when another pod writes to the same volume.
						Command:      []string{"sh", "-c", `set -e; [ ! -e /data/lock ]; hostname >/data/lock; trap 'rm /data/lock; exit' TERM; hostname >>/data/log; while :; do sleep 0.1; done`},
						VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
					}},
				},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")}},
				},
			}},
		},
	}
}

// TestStatefulSet: the twin works on the first pod's own data, no claim is made
// for it, and two pods never have the volume at the same time.
func TestStatefulSet(t *testing.T) {
	s := newSpace(t, nil)
	sets := s.Client.AppsV1().StatefulSets(s.Namespace)
	if _, err := sets.Create(t.Context(), database(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	running := func(ctx context.Context) error {
		set, err := sets.Get(ctx, "db", metav1.GetOptions{})
		if err == nil && (set.Status.AvailableReplicas != 2 || set.Status.ObservedGeneration < set.Generation) {
			err = fmt.Errorf("%d replicas available", set.Status.AvailableReplicas)
		}
		return err
	}
	s.eventually("the StatefulSet to run", running)
	before, err := sets.Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dev := s.dev("name: db", "image: "+harness.DevImage, "imagePullPolicy: IfNotPresent", "sync: [.:/src]",
		"timeout: {default: 60s, resources: 90s}", "persistentVolume: {enabled: false}")
	target := s.target(dev)
	a := s.up(target, s.options())
	if a.Pod.Name != "db-okteto-0" {
		t.Errorf("pod %s", a.Pod.Name)
	}
	if got := s.run(a.Pod.Name, "db", "cat", "/data/log"); got != "db-0\n" {
		t.Errorf("the pod sees %q", got)
	}
	if got := s.run(a.Pod.Name, "db", "sh", "-c", "ls /data; echo edited >/data/edit"); strings.Contains(got, "lock") {
		t.Errorf("the original still had the volume: %q", got)
	}
	s.down(target, workload.DownOptions{Wait: true})
	s.eventually("the StatefulSet to run again", running)
	after, err := sets.Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Spec, after.Spec); diff != "" {
		t.Errorf("spec after down:\n%s", diff)
	}
	if got := s.run("db-0", "db", "sh", "-c", "cat /data/edit /data/log"); got != "edited\ndb-0\ndb-0\n" {
		t.Errorf("the original sees %q", got)
	}
	claims, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 2 {
		t.Errorf("%d claims, want the original's 2: %v", len(claims.Items), err)
	}
	pod, err := s.Client.CoreV1().Pods(s.Namespace).Get(t.Context(), "db-0", metav1.GetOptions{})
	if err != nil || pod.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("two pods had the volume at once: %v, %v", pod.Status.ContainerStatuses, err)
	}
}

// TestVolume: what is in the environment's volume survives down and up, an older
// CLI's claim is reused, and a claim can grow only in the manifest's words.
func TestVolume(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	legacy := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "okteto-api", Labels: map[string]string{contract.DevLabel: "true"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("32Mi")}},
		},
	}
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Create(t.Context(), legacy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	target, options := s.target(s.plain("volumes: [/var/cache/dev]")), s.options()
	a := s.up(target, options)
	s.run(a.Pod.Name, "api", "sh", "-c", "echo kept >/var/cache/dev/file; echo source >/app/file")
	if report := s.down(target, workload.DownOptions{}); report.KeptClaim != "okteto-api" {
		t.Errorf("kept claim %q", report.KeptClaim)
	}
	s.restored(before)
	a = s.up(target, options)
	if got := s.run(a.Pod.Name, "api", "cat", "/var/cache/dev/file", "/app/file"); got != "kept\nsource\n" {
		t.Errorf("after down and up: %q", got)
	}
	shrunk := s.target(s.plain("volumes: [/var/cache/dev]", "persistentVolume: {size: 1Mi}"))
	if _, err := workload.Activate(t.Context(), shrunk, options, nil); err == nil || !strings.Contains(err.Error(), "cannot shrink") {
		t.Errorf("a smaller volume: %v", err)
	}
	s.down(target, workload.DownOptions{Volumes: true})
	s.restored(before)
	s.eventually("the claim to be deleted", func(ctx context.Context) error {
		_, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Get(ctx, "okteto-api", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errStillThere
	})
}

// TestSeed: folders on the volume start with what the image has there, links and
// modes included, and only once.
func TestSeed(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target := s.target(s.plain("volumes: [/etc/ssl]"))
	a := s.up(target, s.options())
	const list = `cd /etc/ssl && find . | sort | xargs stat -c '%n %A %N' | sha256sum`
	inPod := s.run(a.Pod.Name, "api", "sh", "-c", list)
	other := s.up(s.target(s.plain()), s.options())
	inImage := s.run(other.Pod.Name, "api", "sh", "-c", list)
	if inPod != inImage {
		t.Errorf("the volume differs from the image")
	}
	s.down(target, workload.DownOptions{Volumes: true})
}

func TestServices(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	workerBefore := s.create(api(func(d *appsv1.Deployment) {
		d.Name = "worker"
		labels := map[string]string{"app": "worker"}
		d.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = labels, labels, labels
	}))
	target := s.target(s.plain("services:", "  - {name: worker, command: sleep infinity, replicas: 1}"))
	a := s.up(target, s.options())
	s.run(a.Pod.Name, "api", "sh", "-c", "echo shared >/app/file")
	s.eventually("the service's twin to run", func(ctx context.Context) error {
		pods, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.DetachedLabel + "=api"})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return errStillThere
		}
		return nil
	})
	pods, err := s.Client.CoreV1().Pods(s.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: contract.DetachedLabel + "=api"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatal(pods, err)
	}
	if got := s.run(pods.Items[0].Name, "api", "cat", "/app/file"); got != "shared\n" {
		t.Errorf("the service sees %q", got)
	}
	if d := s.deployment("worker"); *d.Spec.Replicas != 0 {
		t.Errorf("the service's original has %d replicas", *d.Spec.Replicas)
	}
	s.down(target, workload.DownOptions{Volumes: true})
	s.restored(before)
	s.restored(workerBefore)
}

func TestSandbox(t *testing.T) {
	s := newSpace(t, nil)
	dev := s.dev("name: play", "autocreate: true", "image: "+harness.DevImage, "imagePullPolicy: IfNotPresent",
		"persistentVolume: {enabled: false}", "timeout: {default: 60s, resources: 90s}")
	target, options := s.target(dev), s.options()
	a := s.up(target, options)
	if a.Pod.Container != "dev" {
		t.Errorf("container %s", a.Pod.Container)
	}
	if again := s.up(target, options); again.Pod.UID != a.Pod.UID {
		t.Error("a second up replaced the pod")
	}
	if _, err := s.Client.CoreV1().Services(s.Namespace).Get(t.Context(), "play", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	s.down(target, workload.DownOptions{Wait: true})
	for what, err := range map[string]error{
		"deployment": getError(s.Client.AppsV1().Deployments(s.Namespace).Get(t.Context(), "play-okteto", metav1.GetOptions{})),
		"service":    getError(s.Client.CoreV1().Services(s.Namespace).Get(t.Context(), "play", metav1.GetOptions{})),
		"secret":     getError(s.Client.CoreV1().Secrets(s.Namespace).Get(t.Context(), "okteto-play", metav1.GetOptions{})),
	} {
		if !apierrors.IsNotFound(err) {
			t.Errorf("the %s is left: %v", what, err)
		}
	}
	t.Log("beside an existing workload")
	s.create(api(func(d *appsv1.Deployment) { d.Name = "play" }))
	if _, err := workload.Activate(t.Context(), target, options, nil); !errors.Is(err, workload.ErrHeld) {
		t.Errorf("got %v", err)
	}
}

func getError[T any](_ T, err error) error { return err }

// TestTwoDevelopers: another environment in the namespace is undisturbed, and
// one workload cannot be two environments.
func TestTwoDevelopers(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	s.create(api(func(d *appsv1.Deployment) {
		d.Name = "other"
		labels := map[string]string{"app": "other"}
		d.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = labels, labels, labels
	}))
	first := s.target(s.plain("persistentVolume: {enabled: false}"))
	a := s.up(first, s.options())
	second := s.target(s.dev("name: mine", "labels: {app: other}", "image: "+harness.DevImage, "imagePullPolicy: IfNotPresent",
		"persistentVolume: {enabled: false}", "sync: [.:/app]"))
	s.up(second, s.options())
	thief := s.target(s.dev("name: thief", "labels: {app: api}", "sync: [.:/app]"))
	if _, err := workload.Activate(t.Context(), thief, s.options(), nil); !errors.Is(err, workload.ErrHeld) || !strings.Contains(err.Error(), "as api") {
		t.Errorf("a second environment of one workload: %v", err)
	}
	s.down(second, workload.DownOptions{Wait: true})
	s.down(thief, workload.DownOptions{})
	pod, err := workload.WaitForPod(t.Context(), first, a, nil)
	if err != nil || pod.UID != a.Pod.UID {
		t.Errorf("the first developer's pod: %v, %v", pod, err)
	}
	if d := s.deployment("api"); *d.Spec.Replicas != 0 {
		t.Error("the first developer's environment was ended")
	}
}
