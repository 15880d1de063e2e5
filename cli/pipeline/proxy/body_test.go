package proxy

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestParsePath(t *testing.T) {
	tests := map[string]target{
		"/api/v1/namespaces":                                        {version: "v1", resource: "namespaces"},
		"/api/v1/namespaces/a":                                      {version: "v1", resource: "namespaces", name: "a"},
		"/api/v1/namespaces/a/finalize":                             {version: "v1", resource: "namespaces", name: "a", subresource: "finalize"},
		"/api/v1/namespaces/a/pods":                                 {version: "v1", resource: "pods", namespace: "a"},
		"/api/v1/namespaces/a/pods/p/exec":                          {version: "v1", resource: "pods", namespace: "a", name: "p", subresource: "exec"},
		"/apis/apps/v1/namespaces/a/deployments/d":                  {group: "apps", version: "v1", resource: "deployments", namespace: "a", name: "d"},
		"/apis/rbac.authorization.k8s.io/v1/clusterroles":           {group: "rbac.authorization.k8s.io", version: "v1", resource: "clusterroles"},
		"/api/v1/namespaces/a/services/s/proxy/api/v1/namespaces/x": {version: "v1", resource: "services", namespace: "a", name: "s", subresource: "proxy/api/v1/namespaces/x"},
	}
	for path, want := range tests {
		got, ok := parsePath(path)
		if !ok || got != want {
			t.Errorf("parsePath(%q) = %+v, %v, want %+v", path, got, ok, want)
		}
	}
	for _, path := range []string{"/", "/version", "/api", "/api/v1", "/apis/apps/v1", "/openapi/v3/apis/apps/v1/x"[:11]} {
		if got, ok := parsePath(path); ok {
			t.Errorf("parsePath(%q) = %+v, want none", path, got)
		}
	}
}

func TestCollectionIsThePathWithoutName(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/namespaces/a/secrets/s":           "/api/v1/namespaces/a/secrets",
		"/apis/apps/v1/namespaces/a/deployments/d": "/apis/apps/v1/namespaces/a/deployments",
		"/api/v1/namespaces/a":                     "/api/v1/namespaces",
	} {
		got, _ := parsePath(path)
		if got.collection() != want {
			t.Errorf("collection of %q = %q, want %q", path, got.collection(), want)
		}
	}
}

// What the proxy does not understand must reach the API server unchanged, such as
// numbers that a float cannot hold.
func TestMarkKeepsTheRestOfTheBody(t *testing.T) {
	tests := []struct{ name, contentType, body, want string }{
		{
			"json", typeJSON, `{"kind":"X","n":12345678901234567890,"metadata":{"name":"a","labels":{"b":"c"}}}`,
			`{"kind":"X","metadata":{"labels":{"m":"p"},"name":"a"},"n":12345678901234567890}`,
		},
		{"no labels", typeJSON + "; charset=utf-8", `{"metadata":{"name":"a"}}`, `{"metadata":{"labels":{"m":"p"},"name":"a"}}`},
		{"no metadata", "", `{"a":1}`, `{"a":1,"metadata":{"labels":{"m":"p"}}}`},
		{"yaml", typeApplyYAML, "metadata:\n  name: a\nspec: {count: 3}\n", `{"metadata":{"labels":{"m":"p"},"name":"a"},"spec":{"count":3}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, err := decode(test.contentType, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.encode(map[string]string{"m": "p"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMarkProtobuf(t *testing.T) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), typeProtobuf)
	for _, object := range []interface {
		runtime.Object
		metav1.Object
	}{
		&corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"},
		},
		&corev1.Pod{
			TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{
				Name: "p", Labels: map[string]string{"old": "1", "m": "other"}, Annotations: map[string]string{"a": "b"}, Generation: 3,
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Command: []string{"x"}}}},
		},
		&appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"},
			ObjectMeta: metav1.ObjectMeta{GenerateName: "d-", Labels: map[string]string{"old": "1"}},
		},
	} {
		body, err := runtime.Encode(info.Serializer, object)
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(typeProtobuf, body)
		if err != nil {
			t.Fatal(err)
		}
		labels := object.GetLabels()
		if o.Name != object.GetName() || len(o.Labels) != len(labels) || o.Labels["old"] != labels["old"] {
			t.Errorf("read name %q and labels %v of %v", o.Name, o.Labels, object)
		}
		if body, err = o.encode(map[string]string{"m": "p"}); err != nil {
			t.Fatal(err)
		}
		decoded, _, err := info.Serializer.Decode(body, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		object.SetLabels(map[string]string{"m": "p"})
		if diff := cmp.Diff(object, decoded); diff != "" {
			t.Error(diff)
		}
	}
}

// In the Protobuf message of every object its metadata has the same number, by
// which it is found without knowing the object's kind.
func TestMetadataIsTheFirstField(t *testing.T) {
	for kind, object := range scheme.Scheme.AllKnownTypes() {
		field, ok := object.FieldByName("ObjectMeta")
		if !ok || kind.Version == runtime.APIVersionInternal {
			continue
		}
		if want := fmt.Sprintf("bytes,%d,", metadataField); !strings.HasPrefix(field.Tag.Get("protobuf"), want) {
			t.Errorf("%v: the metadata is %q, want %s", kind, field.Tag.Get("protobuf"), want)
		}
	}
	field, _ := reflect.TypeFor[metav1.ObjectMeta]().FieldByName("Labels")
	if want := fmt.Sprintf("bytes,%d,rep", labelsField); !strings.HasPrefix(field.Tag.Get("protobuf"), want) {
		t.Errorf("the labels are %q, want %s", field.Tag.Get("protobuf"), want)
	}
}

func TestUnknownMediaTypeIsSaid(t *testing.T) {
	if _, err := decode("application/cbor", nil); !errors.Is(err, errMediaType) {
		t.Errorf("decode CBOR: %v, want errMediaType", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(typeJSON, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	f.Add(typeApplyYAML, []byte("metadata: {labels: null}"))
	f.Add(typeProtobuf, []byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		o, err := decode(contentType, body)
		if err != nil {
			return
		}
		encoded, err := o.encode(map[string]string{"m": "p"})
		if err != nil {
			return
		}
		again, err := decode(contentType, encoded)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if again.Labels["m"] != "p" {
			t.Errorf("labels %v, want the mark", again.Labels)
		}
	})
}
