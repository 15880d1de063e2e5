package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/manifest"
)

func ptr[T any](v T) *T { return &v }

// TestSecurity: who the container runs as, what its volumes belong to and how its
// secrets can be read, for what the original, the manifest and the namespace say.
func TestSecurity(t *testing.T) {
	type result struct {
		User, FSGroup *int64
		NonRoot       *bool
		Mode          int32
		Warnings      int
	}
	volume, none := ptr(true), ptr(false)
	restricted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{psaEnforceLabel: psaRestricted}}}
	openShift := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		openShiftUIDs: "1000680000/10000", openShiftGroups: "1000680000/10000",
	}}}
	for name, tt := range map[string]struct {
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		manifest  *manifest.SecurityContext
		namespace *corev1.Namespace
		volume    *bool
		claims    bool
		want      result
	}{
		"nothing said, volume":             {volume: volume, want: result{User: ptr[int64](0), Mode: 0o400}},
		"nothing said, no volume":          {volume: none, want: result{Mode: 0o444}},
		"pod's user":                       {pod: &corev1.PodSecurityContext{RunAsUser: ptr[int64](7)}, volume: volume, want: result{FSGroup: ptr[int64](7), Mode: 0o440}},
		"pod's user and group":             {pod: &corev1.PodSecurityContext{RunAsUser: ptr[int64](7), RunAsGroup: ptr[int64](8)}, volume: volume, want: result{FSGroup: ptr[int64](8), Mode: 0o440}},
		"container's user":                 {container: &corev1.SecurityContext{RunAsUser: ptr[int64](7)}, volume: volume, want: result{User: ptr[int64](7), FSGroup: ptr[int64](7), Mode: 0o440}},
		"container's user, no volume":      {container: &corev1.SecurityContext{RunAsUser: ptr[int64](7)}, volume: none, want: result{User: ptr[int64](7), Mode: 0o444}},
		"user beside claims of its own":    {container: &corev1.SecurityContext{RunAsUser: ptr[int64](7)}, volume: volume, claims: true, want: result{User: ptr[int64](7), Mode: 0o444, Warnings: 1}},
		"fsGroup is kept":                  {pod: &corev1.PodSecurityContext{FSGroup: ptr[int64](9)}, container: &corev1.SecurityContext{RunAsUser: ptr[int64](7)}, volume: volume, want: result{User: ptr[int64](7), FSGroup: ptr[int64](9), Mode: 0o440}},
		"non-root, whoever":                {pod: &corev1.PodSecurityContext{RunAsNonRoot: ptr(true)}, volume: volume, want: result{FSGroup: ptr[int64](defaultGroup), Mode: 0o440}},
		"namespace is restricted":          {namespace: restricted, volume: volume, want: result{FSGroup: ptr[int64](defaultGroup), Mode: 0o440}},
		"OpenShift":                        {namespace: openShift, volume: volume, want: result{FSGroup: ptr[int64](1000680000), Mode: 0o440}},
		"manifest's user":                  {manifest: &manifest.SecurityContext{RunAsUser: ptr[int64](5), FSGroup: ptr[int64](6)}, volume: volume, want: result{User: ptr[int64](5), FSGroup: ptr[int64](6), Mode: 0o440}},
		"manifest wins over the original":  {container: &corev1.SecurityContext{RunAsUser: ptr[int64](7)}, manifest: &manifest.SecurityContext{RunAsUser: ptr[int64](0)}, volume: volume, want: result{User: ptr[int64](0), Mode: 0o400}},
		"manifest overrules explicitly":    {container: &corev1.SecurityContext{RunAsNonRoot: ptr(true)}, manifest: &manifest.SecurityContext{RunAsUser: ptr[int64](0), RunAsNonRoot: ptr(false)}, volume: volume, want: result{User: ptr[int64](0), NonRoot: ptr(false), Mode: 0o400}},
		"manifest demands non-root itself": {manifest: &manifest.SecurityContext{RunAsNonRoot: ptr(true)}, volume: volume, want: result{NonRoot: ptr(true), FSGroup: ptr[int64](defaultGroup), Mode: 0o440}},
	} {
		t.Run(name, func(t *testing.T) {
			w, dev, o := readCase(t, "testdata/deployment")
			spec := &w.Deployment.Spec.Template.Spec
			spec.SecurityContext, spec.Containers[0].SecurityContext = tt.pod, tt.container
			w.NamespaceObject = tt.namespace
			dev.SecurityContext, dev.PersistentVolume.Enabled = tt.manifest, tt.volume
			if tt.claims {
				spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
				}})
			}
			twin, err := Translate(w, dev, o)
			if err != nil {
				t.Fatal(err)
			}
			pod := twin.Template().Spec
			got := result{Warnings: len(twin.Warnings)}
			if c := pod.Containers[0].SecurityContext; c != nil {
				got.User, got.NonRoot = c.RunAsUser, c.RunAsNonRoot
			}
			if pod.SecurityContext != nil {
				got.FSGroup = pod.SecurityContext.FSGroup
			}
			for _, v := range pod.Volumes {
				if v.Name == "okteto-sync-secret" {
					got.Mode = *v.Secret.Items[0].Mode
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, c := range pod.InitContainers[:2] {
				if c.Name != "migrate" && cmp.Diff(c.SecurityContext, pod.Containers[0].SecurityContext) != "" {
					t.Errorf("init container %s has other settings: %v", c.Name, c.SecurityContext)
				}
			}
		})
	}
}

// TestSecurityIsNeverWeakened: whatever the original demands, the twin demands,
// unless the manifest says otherwise in so many words.
func TestSecurityIsNeverWeakened(t *testing.T) {
	demands := &corev1.SecurityContext{
		RunAsNonRoot: ptr(true), AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true), Privileged: ptr(false),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		SELinuxOptions: &corev1.SELinuxOptions{Level: "s0"},
	}
	for name, m := range map[string]*manifest.SecurityContext{
		"nothing":      nil,
		"another user": {RunAsUser: ptr[int64](5)},
		"capability":   {Capabilities: &manifest.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, enabled := range []bool{true, false} {
				w, dev, o := readCase(t, "testdata/deployment")
				w.Deployment.Spec.Template.Spec.Containers[0].SecurityContext = demands.DeepCopy()
				dev.SecurityContext, dev.PersistentVolume.Enabled = m, &enabled
				twin, err := Translate(w, dev, o)
				if err != nil {
					t.Fatal(err)
				}
				want := demands.DeepCopy()
				if m != nil {
					want.RunAsUser = m.RunAsUser
					if m.Capabilities != nil {
						want.Capabilities.Add = m.Capabilities.Add
					}
				}
				if diff := cmp.Diff(want, twin.Template().Spec.Containers[0].SecurityContext); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}
