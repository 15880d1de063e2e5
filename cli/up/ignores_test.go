package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// notes keeps what a Reporter is told.
type notes struct {
	Reporter
	said []string
}

func (n *notes) Note(format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

// folder makes a folder with these files that is to be synchronized.
func folder(t *testing.T, files ...string) (string, []manifest.SyncFolder, *notes) {
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mine\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, []manifest.SyncFolder{{LocalPath: dir, RemotePath: "/app"}}, &notes{}
}

func TestFolderWithoutIgnoresIsLeftAsItIs(t *testing.T) {
	t.Setenv(contract.EnvAutogenerateIgnore, "")
	dir, folders, report := folder(t, "package.json", "node_modules/x/index.js")
	if err := Ignores(folders, report, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, contract.IgnoreFile)); err == nil {
		t.Error("an ignore file was written unasked")
	}
	if len(report.said) != 1 || !strings.Contains(report.said[0], "node_modules") {
		t.Errorf("said %q, want what goes along", report.said)
	}
}

func TestNothingIsSaidOfPlainSource(t *testing.T) {
	_, folders, report := folder(t, "main.go", "go.mod")
	if err := Ignores(folders, report, nil); err != nil || report.said != nil {
		t.Errorf("said %q, %v", report.said, err)
	}
}

func TestIgnoresAreGeneratedOnRequest(t *testing.T) {
	t.Setenv(contract.EnvAutogenerateIgnore, "true")
	dir, folders, report := folder(t, "package.json", "src/index.js")
	if err := Ignores(folders, report, nil); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, contract.IgnoreFile))
	if err != nil || !strings.Contains(string(content), "node_modules") {
		t.Errorf("wrote %q, %v", content, err)
	}
	if len(report.said) != 1 {
		t.Errorf("said %q", report.said)
	}
}

func TestUserIsAskedOnce(t *testing.T) {
	t.Setenv(contract.EnvAutogenerateIgnore, "")
	for _, leave := range []bool{true, false} {
		dir, folders, report := folder(t, "package.json", "src/index.js")
		asked := 0
		ask := func(question string) (bool, error) {
			if asked++; !strings.Contains(question, "node_modules") {
				t.Errorf("the question %q does not say what is left out", question)
			}
			return leave, nil
		}
		for range 2 {
			if err := Ignores(folders, report, ask); err != nil {
				t.Fatal(err)
			}
		}
		content, err := os.ReadFile(filepath.Join(dir, contract.IgnoreFile))
		if err != nil || strings.Contains(string(content), "node_modules") != leave || asked != 1 {
			t.Errorf("answer %v: wrote %q, %v, asked %d times", leave, content, err, asked)
		}
	}
	stop := errors.New("interrupted")
	dir, folders, report := folder(t, "package.json")
	err := Ignores(folders, report, func(string) (bool, error) { return false, stop })
	if _, statErr := os.Lstat(filepath.Join(dir, contract.IgnoreFile)); !errors.Is(err, stop) || statErr == nil {
		t.Errorf("an interrupted question: %v, file: %v", err, statErr)
	}
}

func TestOwnIgnoresAreKept(t *testing.T) {
	t.Setenv(contract.EnvAutogenerateIgnore, "true")
	dir, folders, report := folder(t, "package.json", contract.IgnoreFile)
	if err := Ignores(folders, report, nil); err != nil || report.said != nil {
		t.Errorf("said %q, %v", report.said, err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, contract.IgnoreFile)); err != nil || string(content) != "mine\n" {
		t.Errorf("the file is %q now, %v", content, err)
	}
	// A dangling link is the user's too, and not written through.
	dir, folders, _ = folder(t, "package.json")
	link := filepath.Join(dir, contract.IgnoreFile)
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := Ignores(folders, report, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("written through a link")
	}
}
