package syncapi

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeConfig(t *testing.T, path, key string) {
	t.Helper()
	content := `<configuration version="32"><folder id="okteto-1" path="/src"><device id="A"></device></folder>` +
		`<gui enabled="true"><address>localhost:1</address><apikey>` + key + `</apikey></gui></configuration>`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.xml")
	if _, err := ReadConfig(path); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrConfig) {
		t.Errorf("missing: %v", err)
	}
	for _, content := range []string{"", "<configuration>", "not xml", "<other/>", "<configuration><gui></gui></configuration>"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(path); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", content, err)
		}
	}
	writeConfig(t, path, "secret")
	c, err := ReadConfig(path)
	if err != nil || c.APIKey != "secret" || len(c.Folders) != 1 || c.Folders[0].ID != "okteto-1" || c.Folders[0].Path != "/src" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestClientFollowsTheKey: a new Secret brings a new one while we run.
func TestClientFollowsTheKey(t *testing.T) {
	key := "first"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/rest/noauth/health":
		case r.Header.Get("X-API-Key") != key:
			http.Error(w, "CSRF Error", http.StatusForbidden)
		case r.URL.Path == "/missing":
			http.NotFound(w, r)
		default:
			_, _ = w.Write([]byte(`{"value":"` + r.URL.Query().Get("q") + `"}`))
		}
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // the pod's is not for us
	path := filepath.Join(t.TempDir(), "config.xml")
	client := NewClient(strings.TrimPrefix(server.URL, "http://"), path)
	defer client.Close()
	var answer struct{ Value string }
	if err := client.Get(t.Context(), "/x", nil, &answer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a configuration: %v", err)
	}
	if err := client.Healthy(t.Context()); err != nil {
		t.Errorf("health needs no key: %v", err)
	}
	for _, key = range []string{"first", "second"} {
		writeConfig(t, path, key)
		if err := client.Get(t.Context(), "/x", map[string][]string{"q": {"a b&c"}}, &answer); err != nil || answer.Value != "a b&c" {
			t.Errorf("with the %s key: %q, %v", key, answer.Value, err)
		}
	}
	var status *StatusError
	if err := client.Get(t.Context(), "/missing", nil, &answer); !errors.As(err, &status) || status.Code != http.StatusNotFound {
		t.Errorf("missing page: %v", err)
	}
	if err := client.Get(t.Context(), "/x", nil, &[]int{}); err == nil {
		t.Error("an answer of another shape is taken")
	}
}
