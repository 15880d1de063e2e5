package pipeline

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"okteto/cli/ui"
)

func TestParse(t *testing.T) {
	content := `icon: https://example.com/i.png
deploy:
  - echo one
  - name: two
    command: |
      echo a
      echo b
destroy:
  - |
    echo first
    echo second
devs:
  - api/okteto.yml
`
	f, err := parse("p.yml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Path: "p.yml", Icon: "https://example.com/i.png", Content: []byte(content),
		Deploy:  []Command{{"echo one", "echo one"}, {"two", "echo a\necho b\n"}},
		Destroy: []Command{{"echo first", "echo first\necho second\n"}},
		Devs:    []string{"api/okteto.yml"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
}

func TestWrongFilesNameTheLine(t *testing.T) {
	for content, want := range map[string]string{
		"":                              "p.yml:1:1: it is empty",
		"- a":                           "p.yml:1:1: it is not a mapping",
		"deploy: x":                     "p.yml:1:9: deploy is not a list",
		"icon: a\nbuild: [x]":           `p.yml:2:1: unknown key "build"`,
		"deploy:\n- a: b":               `p.yml:2:3: deploy: "a" is not known here`,
		"deploy:\n- ''":                 "p.yml:2:3: deploy: a command is empty",
		"deploy:\n- [a]":                "p.yml:2:3: deploy: a command is not a string",
		"deploy: []\ndeploy: []":        "p.yml:2:1: deploy is there twice",
		"devs: [{a: b}]":                "p.yml:1:8: devs: an entry is not a path",
		"deploy:\n- name: x":            "p.yml:2:3: deploy: a command is empty",
		"icon: [a]":                     "p.yml:1:7: icon is not a string",
		"deploy: [a, b\n":               "p.yml is not valid YAML",
		"deploy:\n- echo: 1\n  name: x": `p.yml:2:3: deploy: "echo" is not known here`,
	} {
		_, err := parse("p.yml", []byte(content))
		var problem *ui.Problem
		if !errors.As(err, &problem) || !strings.HasPrefix(problem.Summary, want) {
			t.Errorf("parse(%q): %v, want %q", content, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("deploy:\n- a: &x b\n- *x"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parse("p.yml", content)
		if (file == nil) == (err == nil) {
			t.Errorf("parse returns %v and %v", file, err)
		}
	})
}
