package workload

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	k8syaml "sigs.k8s.io/yaml"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

var updateGolden = flag.Bool("update", false, "write golden files")

// readWorkload reads a Deployment or a StatefulSet.
func readWorkload(t *testing.T, path string) *Workload {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kind metav1.TypeMeta
	if err := k8syaml.Unmarshal(content, &kind); err != nil {
		t.Fatal(err)
	}
	w := &Workload{}
	var object any
	if kind.Kind == "StatefulSet" {
		w.StatefulSet = &appsv1.StatefulSet{}
		object = w.StatefulSet
	} else {
		w.Deployment = &appsv1.Deployment{}
		object = w.Deployment
	}
	if err := yaml.UnmarshalStrict(content, object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return w
}

func readDev(t *testing.T, path string) *manifest.Dev {
	t.Helper()
	m, err := manifest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return m.Devs[0]
}

// testSecrets are short stand-ins for an environment's keys.
func testSecrets(dev *manifest.Dev) map[string][]byte {
	data := map[string][]byte{
		"config.xml": []byte("<configuration/>"), "cert.pem": []byte("cert"), "key.pem": []byte("key"), "engine.json": []byte("{}"),
		"dev-secret-authorized_keys": []byte("ssh-ed25519 AAAA"), "dev-secret-ssh_host_ed25519_key": []byte("host key"),
		"local-cert.pem": []byte("local"), "local-key.pem": []byte("local"), "api-key": []byte("secret"),
		"dev-secret-.stignore-1": []byte("node_modules\n"),
	}
	for _, s := range dev.Secrets {
		data[contract.SecretItemPrefix+filepath.Base(s.RemotePath)] = []byte("user secret")
	}
	return data
}

// readCase reads a folder of testdata.
func readCase(t *testing.T, dir string) (*Workload, *manifest.Dev, Options) {
	t.Helper()
	dev := readDev(t, filepath.Join(dir, "okteto.yml"))
	o := Options{InitImage: "okteto/bin:test", SecretData: testSecrets(dev), UserName: "ann"}
	if dev.Autocreate {
		w, err := sandbox(Target{Namespace: "default", Dev: dev})
		if err != nil {
			t.Fatal(err)
		}
		return w, dev, o
	}
	w := readWorkload(t, filepath.Join(dir, "original.yaml"))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Meta().Namespace}}
	if namespace.Name == "restricted" {
		namespace.Labels = map[string]string{psaEnforceLabel: psaRestricted}
	}
	w.NamespaceObject = namespace
	return w, dev, o
}

// TestTranslate compares what each folder of testdata becomes. The golden files
// are also given to a real API server, by e2e/workload.
func TestTranslate(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/okteto.yml")
	if err != nil || len(dirs) < 6 {
		t.Fatal(dirs, err)
	}
	for _, path := range dirs {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			w, dev, o := readCase(t, dir)
			before := w.Object().DeepCopyObject()
			twin, err := Translate(w, dev, o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range dev.Services {
				original := readWorkload(t, filepath.Join(dir, dev.Services[i].Name+".yaml"))
				service, err := TranslateService(original, dev, &dev.Services[i], o)
				if err != nil {
					t.Fatal(err)
				}
				twin.Services = append(twin.Services, service)
			}
			if diff := cmp.Diff(before, w.Object()); diff != "" {
				t.Errorf("the original was changed:\n%s", diff)
			}
			again, err := Translate(w, dev, o)
			if err != nil || again.Revision != twin.Revision {
				t.Errorf("translated again: %v, revision %s then %s", err, twin.Revision, again.Revision)
			}
			golden(t, filepath.Join(dir, "twin.golden.yaml"), twin)
		})
	}
}

func golden(t *testing.T, path string, twin *Twin) {
	t.Helper()
	var out bytes.Buffer
	for _, w := range twin.Warnings {
		fmt.Fprintf(&out, "# warning: %s\n", w)
	}
	for _, o := range twin.Objects() {
		content, err := k8syaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "---\n%s", content)
	}
	if *updateGolden {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./cli/workload -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got; -update accepts):\n%s", path, diff)
	}
}

// TestSecretsStayOutOfThePod: the laptop's own keys are in the Secret, for
// another laptop to take over, and nowhere in the pod.
func TestSecretsStayOutOfThePod(t *testing.T) {
	w, dev, o := readCase(t, "testdata/deployment")
	twin, err := Translate(w, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	mounted := map[string]int32{}
	for _, v := range twin.Template().Spec.Volumes {
		if v.Secret == nil {
			continue
		}
		if v.Secret.Items == nil {
			t.Errorf("volume %s mounts all of the Secret", v.Name)
		}
		for _, item := range v.Secret.Items {
			mounted[item.Key] = *item.Mode
		}
	}
	for _, key := range []string{contract.LocalCertKey, contract.LocalKeyKey, contract.APIKeyKey} {
		if _, ok := mounted[key]; ok {
			t.Errorf("%s is mounted", key)
		}
		if _, ok := twin.Secret.Data[key]; !ok {
			t.Errorf("%s is not kept", key)
		}
	}
	for _, key := range []string{"key.pem", "dev-secret-ssh_host_ed25519_key"} {
		if mode := mounted[key]; mode != 0o400 {
			t.Errorf("%s has mode %o for root", key, mode)
		}
	}
}

// TestPodIsKept: what does not concern the pod does not replace it.
func TestPodIsKept(t *testing.T) {
	revision := func(change func(*Workload, *manifest.Dev, *Options)) string {
		w, dev, o := readCase(t, "testdata/deployment")
		change(w, dev, &o)
		twin, err := Translate(w, dev, o)
		if err != nil {
			t.Fatal(err)
		}
		return twin.Revision
	}
	same := revision(func(*Workload, *manifest.Dev, *Options) {})
	for name, change := range map[string]func(*Workload, *manifest.Dev, *Options){
		"an edit of the ignore file": func(_ *Workload, _ *manifest.Dev, o *Options) {
			o.SecretData["dev-secret-.stignore-1"] = []byte("dist\n")
		},
		"replicas": func(w *Workload, _ *manifest.Dev, _ *Options) { w.Deployment.Spec.Replicas = new(int32) },
		"marks": func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.Deployment.Annotations[contract.ReplicasAnnotation] = "3"
			w.Deployment.Labels[contract.DevLabel] = "true"
		},
		"the laptop's keys": func(_ *Workload, _ *manifest.Dev, o *Options) { o.SecretData[contract.LocalKeyKey] = []byte("other") },
		"forwards":          func(_ *Workload, d *manifest.Dev, _ *Options) { d.Forward = nil },
	} {
		if got := revision(change); got != same {
			t.Errorf("%s replaces the pod", name)
		}
	}
	for name, change := range map[string]func(*Workload, *manifest.Dev, *Options){
		"a key": func(_ *Workload, _ *manifest.Dev, o *Options) { o.SecretData["key.pem"] = []byte("other") },
		"the original's template": func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.Deployment.Spec.Template.Spec.Containers[1].Image = "proxy:2"
		},
		"a restart": func(_ *Workload, _ *manifest.Dev, o *Options) { o.Restart = "now" },
	} {
		if got := revision(change); got == same {
			t.Errorf("%s does not replace the pod", name)
		}
	}
}

// TestRefusals: what cannot be translated is refused with a reason.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		dir    string
		change func(*Workload, *manifest.Dev, *Options)
		want   string
	}{
		"no such container": {"deployment", func(_ *Workload, d *manifest.Dev, _ *Options) { d.Container = "apii" }, "has no container apii; it has: api, proxy"},
		"claims that would be deleted": {"statefulset", func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.StatefulSet.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
		}, "whenScaled to Retain"},
		"root where root is refused": {"restricted", func(_ *Workload, d *manifest.Dev, _ *Options) {
			d.SecurityContext = &manifest.SecurityContext{RunAsUser: new(int64)}
		}, "demands runAsNonRoot"},
		"a mount in the way": {"deployment", func(_ *Workload, d *manifest.Dev, _ *Options) { d.Sync.Folders[0].RemotePath = "/etc/api" }, "mounts volume config at /etc/api"},
		"a selector's label": {"deployment", func(_ *Workload, d *manifest.Dev, _ *Options) {
			d.Metadata.Labels = map[string]string{"app": "other"}
		}, "metadata.labels"},
		"a name that is too long": {"statefulset", func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.StatefulSet.Name = strings.Repeat("a", 50)
		}, "too long"},
		"translated in place": {"deployment", func(w *Workload, _ *manifest.Dev, _ *Options) {
			spec := &w.Deployment.Spec.Template.Spec
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: contract.BinVolume})
		}, "is a development container already"},
		"our volume's name": {"deployment", func(w *Workload, d *manifest.Dev, _ *Options) {
			spec := &w.Deployment.Spec.Template.Spec
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: d.Name + contract.VolumeSuffix})
		}, "has a volume called"},
		"Windows": {"deployment", func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.Deployment.Spec.Template.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
		}, "on Linux only"},
		"no configuration": {"deployment", func(_ *Workload, _ *manifest.Dev, o *Options) { delete(o.SecretData, "config.xml") }, "has no config.xml"},
		"no key":           {"deployment", func(_ *Workload, _ *manifest.Dev, o *Options) { delete(o.SecretData, "dev-secret-authorized_keys") }, "has no dev-secret-authorized_keys"},
		"too many secrets": {"deployment", func(_ *Workload, _ *manifest.Dev, o *Options) { o.SecretData["dev-secret-token"] = make([]byte, 1<<20) }, "more than the 1048576"},
		"our init's name": {"deployment", func(w *Workload, _ *manifest.Dev, _ *Options) {
			w.Deployment.Spec.Template.Spec.InitContainers[0].Name = contract.InitContainer
		}, "rename it"},
	} {
		t.Run(name, func(t *testing.T) {
			w, dev, o := readCase(t, filepath.Join("testdata", tt.dir))
			tt.change(w, dev, &o)
			_, err := Translate(w, dev, o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestServiceWithClaimsIsRefused(t *testing.T) {
	_, dev, o := readCase(t, "testdata/services")
	if _, err := TranslateService(readWorkload(t, "testdata/statefulset/original.yaml"), dev, &dev.Services[0], o); err == nil {
		t.Error("a StatefulSet with claims was accepted")
	}
}
