//go:build e2e

package workload

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

var errStillThere = errors.New("not yet")

// TestGoldenTwins gives every golden file of cli/workload to the API server,
// which checks what no unit test can.
func TestGoldenTwins(t *testing.T) {
	s := newSpace(t, nil)
	paths, err := filepath.Glob(filepath.Join(s.Root, "cli/workload/testdata/*/twin.golden.yaml"))
	if err != nil || len(paths) < 6 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content = bytes.ReplaceAll(content, []byte("namespace: restricted"), []byte("namespace: default"))
			content = bytes.ReplaceAll(content, []byte("namespace: default"), []byte("namespace: "+s.Namespace))
			documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
			for {
				document, err := documents.Read()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if strings.TrimSpace(string(document)) == "" {
					continue
				}
				s.rehearse(t, document)
			}
		})
	}
}

// rehearse creates an object, and for a workload its pod, without keeping it.
func (s *space) rehearse(t *testing.T, document []byte) {
	t.Helper()
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	var template *corev1.PodTemplateSpec
	switch o := object.(type) {
	case *appsv1.Deployment:
		_, err = s.Client.AppsV1().Deployments(s.Namespace).Create(t.Context(), o, dry)
		template = &o.Spec.Template
	case *appsv1.StatefulSet:
		_, err = s.Client.AppsV1().StatefulSets(s.Namespace).Create(t.Context(), o, dry)
		template = &o.Spec.Template
	case *corev1.Secret:
		_, err = s.Client.CoreV1().Secrets(s.Namespace).Create(t.Context(), o, dry)
	case *corev1.PersistentVolumeClaim:
		_, err = s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Create(t.Context(), o, dry)
	case *corev1.Service:
		_, err = s.Client.CoreV1().Services(s.Namespace).Create(t.Context(), o, dry)
	default:
		t.Fatalf("unexpected %T", object)
	}
	if err != nil {
		t.Errorf("%T: %v", object, err)
	}
	if template == nil {
		return
	}
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName = "rehearsal-"
	pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "", "" // none of those exists here
	pod.Spec.PriorityClassName = ""
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(t.Context(), pod, dry); err != nil {
		t.Errorf("its pod: %v", err)
	}
}
