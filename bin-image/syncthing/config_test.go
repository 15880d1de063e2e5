package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syncthing/syncthing/lib/config"

	"okteto/internal/contract"
)

// send a request with a body to the REST interface, and return the status.
func (d *daemon) send(method, path string, body any) int {
	d.t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	request, err := http.NewRequest(method, "http://"+d.gui+path, bytes.NewReader(content))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", contract.OriginalAPIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestConfigurationIsChangedOverREST has settings changed as clients of Syncthing do:
// they hold, over restarts too, and what the engine tells the library of the folder
// is neither shown nor lost.
func TestConfigurationIsChangedOverREST(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	laptop := t.TempDir()
	d.laptop(laptop)
	shows := func(interval int) bool {
		var f config.FolderConfiguration
		d.get("/rest/config/folders/okteto-1", "", &f)
		return f.RescanIntervalS == interval && f.FilesystemType == config.FilesystemTypeBasic && f.FSWatcherEnabled && f.DisableFsync
	}
	if !shows(300) {
		t.Error("the configuration that is shown is not what was written")
	}
	if status := d.send(http.MethodPatch, "/rest/config/folders/okteto-1", map[string]any{"rescanIntervalS": 77}); status != http.StatusOK {
		t.Fatalf("patch: %d", status)
	}
	var whole config.Configuration
	d.get("/rest/config", "", &whole)
	if status := d.send(http.MethodPut, "/rest/config", whole); status != http.StatusOK {
		t.Fatalf("put of what was got: %d", status)
	}
	for name, change := range map[string]func(*config.Configuration){
		"another path": func(c *config.Configuration) { c.Folders[0].Path = "/" },
		"a new folder": func(c *config.Configuration) {
			c.Folders = append(c.Folders, config.FolderConfiguration{ID: "x", Path: "/"})
		},
		"without folder": func(c *config.Configuration) { c.Folders = nil },
	} {
		changed := whole.Copy()
		change(&changed)
		if status := d.send(http.MethodPut, "/rest/config", changed); status == http.StatusOK {
			t.Errorf("%s is accepted", name)
		}
	}
	works := func(name string) {
		t.Helper()
		if !shows(77) {
			t.Errorf("%s: the new interval is not shown", name)
		}
		if err := os.WriteFile(filepath.Join(d.folder, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		eventually(t, name, func() bool { return has(filepath.Join(laptop, name), name) })
	}
	works("before")
	if status := d.send(http.MethodPost, "/rest/system/restart", nil); status != http.StatusOK {
		t.Fatalf("restart: %d", status)
	}
	eventually(t, "the daemon after a restart", func() bool {
		response, err := http.Get("http://" + d.gui + "/rest/noauth/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	works("after")
	file, err := os.ReadFile(filepath.Join(d.home, contract.SyncthingConfigFile))
	if err != nil || strings.Contains(string(file), "okteto-0x") {
		t.Errorf("saved (%v): %s", err, file)
	}
}

// TestConfigurationOfSyncthing2 starts with what Syncthing 2 has written.
func TestConfigurationOfSyncthing2(t *testing.T) {
	d := newDaemon(t, 51)
	before, err := os.ReadFile(filepath.Join(d.home, contract.SyncthingConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.data, "index-v2"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.start()
	laptop := t.TempDir()
	d.laptop(laptop)
	if err := os.WriteFile(filepath.Join(laptop, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file", func() bool { return has(filepath.Join(d.folder, "file"), "x") })
	if kept, err := os.ReadFile(filepath.Join(d.home, contract.SyncthingConfigFile+".v51")); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("not set aside: %v", err)
	}
}
