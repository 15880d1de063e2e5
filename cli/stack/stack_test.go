package stack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMadeIsNamedAndIgnored(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"package.json", "node_modules/left/index.js", "src/node_modules.js", ".git/HEAD"} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Detect(dir)
	if s == nil || s.Name != "Node.js" {
		t.Fatalf("detected %+v", s)
	}
	if got := Made(dir); !slices.Equal(got, []string{".git", "node_modules"}) {
		t.Errorf("made: %q", got)
	}
	if got := IgnoreFile(s); !strings.Contains(got, "\nnode_modules\n") || !strings.Contains(got, "\n.git\n") {
		t.Errorf("ignore file: %q", got)
	}
	empty := t.TempDir()
	if s, made := Detect(empty), Made(empty); s != nil || made != nil {
		t.Errorf("an empty folder: %+v, %q", s, made)
	}
	if got := IgnoreFile(nil); !strings.Contains(got, ".git\n") {
		t.Errorf("ignore file of no language: %q", got)
	}
}
