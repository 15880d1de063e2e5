package manifest

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares with, or with -update writes, a file of testdata or docs.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./cli/manifest -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update accepts):\n%s", path, diff)
	}
}

// write makes a project folder with a manifest and what it refers to.
func write(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "okteto.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, content string) *Manifest {
	t.Helper()
	m, err := Load(write(t, content))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestForms reads each manifest of testdata, in either form, and compares all
// that became of it.
func TestForms(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	t.Setenv("HOME", "/home/dev")
	t.Setenv("TAG", "1.2")
	t.Setenv("TOKEN", "from the laptop")
	t.Setenv("OKTETO_TIMEOUT", "")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := filepath.Abs("testdata")
			if err != nil {
				t.Fatal(err)
			}
			type view struct {
				Devs     []map[string]any
				Forward  []Forward
				Warnings []string
			}
			v := view{Forward: m.Forward}
			for _, dev := range m.Devs {
				v.Devs = append(v.Devs, fields(t, dev))
			}
			for _, w := range m.Warnings {
				v.Warnings = append(v.Warnings, w.String())
			}
			content, err := json.MarshalIndent(v, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yml")+".json", []byte(strings.ReplaceAll(string(content), dir, "$DIR")+"\n"))
		})
	}
}

// fields of a Dev that are set, by name: what Kubernetes' own encoders write.
func fields(t *testing.T, dev *Dev) map[string]any {
	t.Helper()
	content, err := json.Marshal(dev)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	for key, value := range all {
		if object, ok := value.(map[string]any); ok && len(object) == 0 {
			delete(all, key)
		}
	}
	return all
}

func TestSchemaIsCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/okteto.schema.json", schema)
}

// TestSchemaDocumentsEveryField keeps editors' help complete.
func TestSchemaDocumentsEveryField(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Defs map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	if len(root.Defs["Dev"].Properties) < 40 {
		t.Errorf("the schema knows %d fields of an environment", len(root.Defs["Dev"].Properties))
	}
	for _, name := range []string{"Dev", "RootForm", "Service", "SecurityContext", "PersistentVolume", "ForwardMapping", "Sync"} {
		for field, p := range root.Defs[name].Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	t.Run("candidates in order", func(t *testing.T) {
		dir := t.TempDir()
		t.Chdir(dir)
		if _, err := Load(""); !errors.Is(err, ErrNotFound) {
			t.Errorf("no manifest: %v", err)
		}
		if err := os.Mkdir(".okteto", 0o700); err != nil {
			t.Fatal(err)
		}
		for i := len(Candidates()) - 1; i >= 0; i-- {
			name := Candidates()[i]
			if err := os.WriteFile(name, []byte("name: n"+string(rune('0'+i))+"\nworkdir: /app\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Load("")
			if err != nil {
				t.Fatal(err)
			}
			if want := "n" + string(rune('0'+i)); m.Devs[0].Name != want {
				t.Errorf("with %s: read %s", name, m.Devs[0].Name)
			}
			if got := m.Devs[0].Sync.Folders[0].LocalPath; got != evaluated(t, dir) {
				t.Errorf("with %s: folder %s, want %s", name, got, dir)
			}
		}
	})
	t.Run("a folder", func(t *testing.T) {
		path := write(t, "name: api\n")
		m, err := Load(filepath.Dir(path))
		if err != nil || m.Path != path {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		if _, err := Load(filepath.Join(t.TempDir(), "other.yml")); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

func evaluated(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDev(t *testing.T) {
	m := load(t, "dev:\n  api:\n    image: a\n  worker:\n    image: b\n")
	if d, err := m.Dev("worker"); err != nil || d.Image != "b" {
		t.Error(d, err)
	}
	for name, want := range map[string]string{"": "api, worker", "wroker": "did you mean worker?"} {
		if _, err := m.Dev(name); !errors.Is(err, ErrNoDev) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestProcessEnvironmentIsNotChanged(t *testing.T) {
	path := write(t, "name: api\nimage: repo:${FROM_DOTENV}\nenvironment: [A=$FROM_PROCESS]\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".env"), []byte("FROM_DOTENV=7\nFROM_PROCESS=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FROM_PROCESS", "process")
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Devs[0].Image; got != "repo:7" {
		t.Errorf("image %q", got)
	}
	if got := m.Devs[0].Environment[0].Value; got != "process" {
		t.Errorf("environment %q: the process's own must win over .env", got)
	}
	if v, set := os.LookupEnv("FROM_DOTENV"); set {
		t.Errorf(".env leaked into the process: %q", v)
	}
}

func TestEnvFiles(t *testing.T) {
	path := write(t, "name: api\nenvFiles: [one.env, two.env]\nenvironment: [C=inline]\n")
	for name, content := range map[string]string{"one.env": "A=1\nB=1\n", "two.env": "B=2\nC=2\n"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Environment{{"A", "1"}, {"B", "2"}, {"C", "inline"}}
	if diff := cmp.Diff(want, m.Devs[0].Environment); diff != "" {
		t.Error(diff)
	}
}

func TestCheckLocal(t *testing.T) {
	m := load(t, "name: api\nsync:\n  - .:/app\n  - missing:/lib\nsecrets:\n  - token:/run/token\n")
	var e *Error
	if err := m.Devs[0].CheckLocal(); !errors.As(err, &e) || len(e.Issues) != 2 {
		t.Fatal(err)
	}
	if e.Issues[0].Line != 4 || e.Issues[0].Column != 5 || e.Issues[1].Line != 6 {
		t.Errorf("positions: %v", e)
	}
	dir := filepath.Dir(m.Path)
	if err := os.Mkdir(filepath.Join(dir, "missing"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Devs[0].CheckLocal(); err != nil {
		t.Error(err)
	}
}

// TestReferenceIsCurrent keeps the table of fields in the documentation.
func TestReferenceIsCurrent(t *testing.T) {
	const path, begin, end = "../../docs/manifest.md", "-update -->\n", "<!-- end of fields -->"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks around the table are missing")
	}
	golden(t, path, []byte(before+begin+"\n"+Reference()+"\n"+end+after))
}
