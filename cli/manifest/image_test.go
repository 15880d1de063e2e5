package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loadText writes a manifest into a folder of its own and loads it.
func loadText(t *testing.T, content string) (*Manifest, string, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "okteto.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Load(path)
	return m, dir, err
}

func TestImageForms(t *testing.T) {
	t.Setenv("TAG", "7")
	m, dir, err := loadText(t, `name: api
image:
  name: okteto.dev/api:${TAG}
  context: src
  dockerfile: dev.Dockerfile
  target: dev
  args: {LEVEL: "3"}
  cache_from: [a, b]
`)
	if err != nil {
		t.Fatal(err)
	}
	dev := m.Devs[0]
	image := dev.ImageBuild
	if dev.Image != "okteto.dev/api:7" || dev.BuildName() != dev.Image || !image.Builds || image.Target != "dev" {
		t.Errorf("image %q of %+v", dev.Image, image)
	}
	if image.Context != filepath.Join(dir, "src") || !slices.Equal(image.CacheFrom, []string{"a", "b"}) || len(image.Args) != 1 || image.Args[0] != (EnvVar{Name: "LEVEL", Value: "3"}) {
		t.Errorf("build %+v", image)
	}

	if m, _, err = loadText(t, "name: api\nimage: golang:1\n"); err != nil {
		t.Fatal(err)
	}
	if dev := m.Devs[0]; dev.Image != "golang:1" || dev.ImageBuild.Builds {
		t.Errorf("a name alone: %q, %+v", dev.Image, dev.ImageBuild)
	}

	if m, dir, err = loadText(t, "dev:\n  api:\n    image: {target: dev}\n"); err != nil {
		t.Fatal(err)
	}
	if dev := m.Devs[0]; dev.Image != "" || dev.BuildName() != "okteto.dev/api:okteto" || dev.ImageBuild.Context != dir {
		t.Errorf("without a name: %q, built as %q in %q", dev.Image, dev.BuildName(), dev.ImageBuild.Context)
	}

	if m, _, err = loadText(t, "name: api\nimage: {context: 'https://example.com/a.git'}\n"); err != nil {
		t.Fatal(err)
	}
	if got := m.Devs[0].ImageBuild.Context; got != "https://example.com/a.git" {
		t.Errorf("an address became %q", got)
	}
}

func TestImageErrors(t *testing.T) {
	for text, want := range map[string]string{
		"name: api\nimage: {nam: x}\n":         "image.nam: unknown field (did you mean name?)",
		"name: api\nimage: [a]\n":              "expected the name of an image",
		"name: api\nimage: {cache_from: {}}\n": "image.cache_from",
		"name: api\nimage: {args: 3}\n":        "image.args",
	} {
		_, _, err := loadText(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// A Dockerfile is in the context, or else beside the manifest.
func TestImageFile(t *testing.T) {
	m, dir, err := loadText(t, "name: api\nimage: {context: src, dockerfile: Dockerfile.dev}\n")
	if err != nil {
		t.Fatal(err)
	}
	image := &m.Devs[0].ImageBuild
	inContext, beside := filepath.Join(dir, "src", "Dockerfile.dev"), filepath.Join(dir, "Dockerfile.dev")
	expect := func(want string) {
		t.Helper()
		if got, err := image.File(); err != nil || got != want {
			t.Errorf("File = %q, %v; want %q", got, err, want)
		}
	}
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect(inContext)
	write(beside)
	expect(beside)
	write(inContext)
	expect(inContext)
}
