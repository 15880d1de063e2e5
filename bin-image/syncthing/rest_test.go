package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"okteto/internal/contract"
)

// ask the REST interface with the key that all original CLIs have.
func (d *daemon) ask(method, path, body string) (status int, answer string) {
	d.t.Helper()
	request, err := http.NewRequest(method, "http://"+d.gui+"/rest/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", contract.OriginalAPIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(content)
}

// fields of a JSON object.
func (d *daemon) fields(path string) map[string]any {
	d.t.Helper()
	var object map[string]any
	if status := d.get("/rest/"+path, "", &object); status != http.StatusOK {
		d.t.Errorf("%s: %d", path, status)
	}
	return object
}

// TestWhatTheOriginalAsksFor: each request of pkg/syncthing, in its words, with the
// fields that it reads.
func TestWhatTheOriginalAsksFor(t *testing.T) {
	d := newDaemon(t, 32)
	local, _ := d.identity.LocalDeviceID()
	remote, _ := d.identity.RemoteDeviceID()
	d.start()
	connected := func() bool {
		connections, _ := d.fields("system/connections")["connections"].(map[string]any)
		peer, _ := connections[local].(map[string]any)
		return peer["connected"] == true
	}
	if connected() {
		t.Error("connected to nobody")
	}
	laptop := t.TempDir()
	if err := os.WriteFile(filepath.Join(laptop, "file"), []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.laptop(laptop)
	eventually(t, "the connection", connected)
	eventually(t, "the file", func() bool { return has(filepath.Join(d.folder, "file"), "12345") })

	for _, query := range []string{"device=" + local, "device=" + remote, "folder=okteto-1&device=" + local} {
		path := "db/completion?" + query
		eventually(t, path+" to be complete", func() bool {
			f := d.fields(path)
			return f["globalBytes"] == 5. && f["needBytes"] == 0. && f["needDeletes"] == 0. && f["completion"] == 100.
		})
		f := d.fields(path)
		for _, name := range []string{"globalItems", "needItems"} {
			if _, ok := f[name].(float64); !ok {
				t.Errorf("%s has no %s: %v", path, name, f)
			}
		}
	}
	if f := d.fields("db/status?folder=okteto-1"); f["state"] != "idle" || f["globalBytes"] != 5. {
		t.Errorf("status of the folder: %v", f)
	}
	if f := d.fields("system/ping"); f["ping"] != "pong" {
		t.Errorf("ping: %v", f)
	}
	if f := d.fields("system/error"); f["errors"] != nil && len(f["errors"].([]any)) > 0 {
		t.Errorf("errors: %v", f)
	}
	for _, types := range []string{"StateChanged", "FolderSummary", "FolderErrors", "DownloadProgress"} {
		var events []any
		if status := d.get("/rest/events?folder=okteto-1&since=0&limit=1&timeout=0&events="+types, "", &events); status != http.StatusOK || len(events) > 1 {
			t.Errorf("%s: %d, %v", types, status, events)
		}
	}
	var events []any
	if status := d.get("/rest/events?folder=okteto-1&since=0&timeout=0", "", &events); status != http.StatusOK || len(events) == 0 {
		t.Errorf("all events: %d, %d of them", status, len(events))
	}
	if status, body := d.ask(http.MethodGet, "db/status?folder=other", ""); status != http.StatusNotFound {
		t.Errorf("a folder that is not there: %d %s", status, body)
	}
}

// TestSeedIgnores: the oldest CLIs deliver the ignore patterns over REST.
func TestSeedIgnores(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	const patterns = `{"ignore":["(?d)*.log","(?d)node_modules"]}`
	eventually(t, "the folder takes patterns", func() bool {
		status, _ := d.ask(http.MethodPost, "db/ignores?folder=okteto-1", patterns)
		return status == http.StatusOK
	})
	_, body := d.ask(http.MethodGet, "db/ignores?folder=okteto-1", "")
	var answer struct{ Ignore []string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || !slices.Equal(answer.Ignore, []string{"(?d)*.log", "(?d)node_modules"}) {
		t.Errorf("patterns: %s, %v", body, err)
	}
	laptop := t.TempDir()
	d.laptop(laptop)
	for _, name := range []string{"noise.log", "signal"} {
		if err := os.WriteFile(filepath.Join(d.folder, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what is not ignored", func() bool { return has(filepath.Join(laptop, "signal"), "x") })
	if has(filepath.Join(laptop, "noise.log"), "x") {
		t.Error("an ignored file was sent")
	}
}

// TestRestartOverREST, and the reset of the oldest CLIs: the interface is back soon,
// the files are all there, and synchronization goes on.
func TestRestartOverREST(t *testing.T) {
	d := newDaemon(t, 32)
	d.start()
	laptop := t.TempDir()
	if err := os.WriteFile(filepath.Join(laptop, "before"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.laptop(laptop)
	eventually(t, "the file", func() bool { return has(filepath.Join(d.folder, "before"), "x") })
	for _, request := range []string{"system/restart", "system/reset", "system/reset?folder=okteto-1"} {
		databases, err := filepath.Glob(filepath.Join(d.data, "index-*.db"))
		if err != nil || len(databases) != 1 {
			t.Fatalf("database: %v, %v", databases, err)
		}
		mark := filepath.Join(databases[0], "mark") // goes with the database
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if status, body := d.ask(http.MethodPost, request, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", request, status, body)
		}
		if request != "system/restart" {
			eventually(t, "a new database after "+request, func() bool {
				_, err := os.Stat(mark)
				return errors.Is(err, fs.ErrNotExist)
			})
		}
		eventually(t, "the interface after "+request, func() bool {
			status, _ := d.ask(http.MethodGet, "system/ping", "")
			return status == http.StatusOK
		})
		name := filepath.Base(request)
		if err := os.WriteFile(filepath.Join(laptop, name), []byte("y"), 0o644); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a file after "+request, func() bool { return has(filepath.Join(d.folder, name), "y") })
		if !has(filepath.Join(laptop, "before"), "x") || !has(filepath.Join(d.folder, "before"), "x") {
			t.Errorf("%s cost a file", request)
		}
	}
}
