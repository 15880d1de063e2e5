package build

import (
	"slices"
	"strings"
	"testing"

	"okteto/internal/contract"
)

func TestExpand(t *testing.T) {
	t.Setenv(contract.EnvRegistryURL, "https://registry.example.com:5000/")
	got, err := expand([]string{"okteto.dev/api:1", "api", "ghcr.io/a/b:c"}, "ns")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"registry.example.com:5000/ns/api:1", "docker.io/library/api:latest", "ghcr.io/a/b:c"}
	if !slices.Equal(got, want) {
		t.Errorf("expand = %v, want %v", got, want)
	}
	if got := repository(want[0]); got != "registry.example.com:5000/ns/api" {
		t.Errorf("repository = %q", got)
	}
	for _, bad := range []string{"A", "a b", "a@sha256:" + strings.Repeat("0", 64)} {
		if _, err := expand([]string{bad}, "ns"); err == nil {
			t.Errorf("the name %q is accepted", bad)
		}
	}
}

func TestOktetoNamesNeedARegistry(t *testing.T) {
	t.Setenv(contract.EnvRegistryURL, "")
	_, err := expand([]string{"okteto.dev/api"}, "ns")
	if err == nil || !strings.Contains(err.Error(), contract.EnvRegistryURL) {
		t.Errorf("error %v does not say which variable to set", err)
	}
}

func TestOutputs(t *testing.T) {
	tests := []struct {
		outputs, tags []string
		kind, name    string
		pushes        bool
	}{
		{nil, nil, "", "", false},
		{nil, []string{"a", "b"}, "image", "a,b", true},
		{[]string{"type=registry"}, []string{"a"}, "image", "a", true},
		{[]string{"type=image,name=c"}, []string{"a"}, "image", "c", false},
		{[]string{"out"}, []string{"a"}, "local", "", false},
		{[]string{`"a",b`}, nil, "local", "", false},
		{[]string{"type=oci,dest=x.tar"}, []string{"a"}, "oci", "a", false},
		{[]string{"type=oci,tar=false,dest=x"}, []string{"a"}, "oci", "a", false},
	}
	for _, test := range tests {
		s := &solve{}
		t.Chdir(t.TempDir())
		if err := s.outputs(&Options{Outputs: test.outputs}, test.tags); err != nil {
			t.Errorf("outputs %v: %v", test.outputs, err)
			continue
		}
		if test.kind == "" {
			if len(s.options.Exports) != 0 {
				t.Errorf("outputs %v: %v, want none", test.outputs, s.options.Exports)
			}
			continue
		}
		e := s.options.Exports[0]
		if e.Type != test.kind || e.Attrs["name"] != test.name || s.pushes != test.pushes {
			t.Errorf("outputs %v of %v: %s %q, pushed %v", test.outputs, test.tags, e.Type, e.Attrs["name"], s.pushes)
		}
	}
	if err := (&solve{}).outputs(&Options{Outputs: []string{"dest=x"}}, nil); err == nil {
		t.Error("an output without a type is accepted")
	}
}

func TestCachesAreSpelledOut(t *testing.T) {
	t.Setenv(contract.EnvRegistryURL, "registry.example.com")
	got, err := cacheSpecs([]string{"okteto.dev/a", "b", "type=registry,ref=okteto.dev/c,mode=max", "type=local,src=d"}, "ns")
	want := []string{
		"type=registry,ref=registry.example.com/ns/a", "type=registry,ref=b",
		"type=registry,ref=registry.example.com/ns/c,mode=max", "type=local,src=d",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("cacheSpecs = %v, %v; want %v", got, err, want)
	}
	t.Setenv(contract.EnvRegistryURL, "")
	if _, err := cacheSpecs([]string{"okteto.dev/a"}, "ns"); err == nil {
		t.Error("an okteto.dev name without a registry is accepted")
	}
}
