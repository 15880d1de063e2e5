package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEnvFileForms reads .env files as editors and people write them.
func TestEnvFileForms(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		want    Environment
	}{
		"plain":     {"A=1\n# comment\n\nB=2 # and this\n", Environment{{"A", "1"}, {"B", "2"}}},
		"export":    {"export A=1\n", Environment{{"A", "1"}}},
		"Windows":   {"\xef\xbb\xbfA=1\r\nB=2\r\n", Environment{{"A", "1"}, {"B", "2"}}},
		"quotes":    {`A="a # b"` + "\n" + `B='$A'` + "\n" + `C="$A"` + "\n", Environment{{"A", "a # b"}, {"B", "$A"}, {"C", "a # b"}}},
		"key":       {"K=\"one\ntwo\nthree\"\nB=2\n", Environment{{"B", "2"}, {"K", "one\ntwo\nthree"}}},
		"no break":  {"A=1", Environment{{"A", "1"}}},
		"empty":     {"", nil},
		"empty one": {"A=\n", Environment{{"A", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".env")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readEnvFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file that cannot be read is named with the line, and what is on it stays there.
func TestEnvFileErrors(t *testing.T) {
	for content, line := range map[string]int{
		"A=1\nthe secret\nB=2\n":                  2,
		"A=1\nB=\"the secret\nC=3\n":              2,
		"A=\"one\ntwo\"\nthe secret\n":            3,
		strings.Repeat("A=1\n", 500) + "secret\n": 501,
		"A='" + strings.Repeat("secret\n", 5000):  1,
	} {
		path := write(t, "name: api\n")
		env := filepath.Join(filepath.Dir(path), ".env")
		if err := os.WriteFile(env, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		var e *Error
		if !errors.As(err, &e) || len(e.Issues) != 1 {
			t.Fatalf("%.20q: %v", content, err)
		}
		if issue := e.Issues[0]; issue.Path != env || issue.Line != line || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %v, want line %d", content, err, line)
		}
	}
}
