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
	"regexp"
	"slices"
	"strings"
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

// TestNothingWithoutTheKey: the loopback interface is shared by all containers of a
// pod, whose other programs get nothing but whether the daemon is alive, and the
// empty page that stands for the web interface. So it is with a configuration of the
// original, which has a user and a password, and with ours, which has none.
func TestNothingWithoutTheKey(t *testing.T) {
	user := regexp.MustCompile(`(?s)<user>.*</password>`)
	for name, change := range map[string]func(string) string{
		"original": func(config string) string { return config },
		"ours":     func(config string) string { return user.ReplaceAllString(config, "") },
		"no password": func(config string) string {
			return user.ReplaceAllString(config, "<user>okteto</user><password></password>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t, 32)
			path := filepath.Join(d.home, contract.SyncthingConfigFile)
			config, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(change(string(config))), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			d.start()
			for _, key := range []string{"", "wrong", contract.OriginalAPIKey + "x"} {
				d.refuses(func(r *http.Request) { r.Header.Set("X-API-Key", key) }, protected()...)
			}
			for _, password := range []string{"", "*", "okteto"} {
				// One request each: a wrong password is answered late.
				d.refuses(func(r *http.Request) { r.SetBasicAuth("nobody", password) }, "GET /rest/system/config")
				d.refuses(func(r *http.Request) { r.SetBasicAuth("okteto", password) }, "GET /rest/system/config")
			}
			// The page brings a token that opens the interface where nobody logs in.
			page, err := http.Get("http://" + d.gui + "/")
			if err != nil {
				t.Fatal(err)
			}
			page.Body.Close()
			d.refuses(func(r *http.Request) {
				for _, cookie := range page.Cookies() {
					r.AddCookie(cookie)
					r.Header.Set("X-"+cookie.Name, cookie.Value)
				}
			}, protected()...)
			if f := d.fields("system/ping"); f["ping"] != "pong" {
				t.Errorf("after all that: %v", f)
			}
		})
	}
}

// protected is a request of each kind.
func protected() []string {
	return []string{
		"GET /metrics", "GET /rest/system/config", "GET /rest/config", "PUT /rest/config/folders", "GET /rest/system/status",
		"GET /rest/events?timeout=0", "GET /rest/db/browse?folder=okteto-1", "POST /rest/system/shutdown", "POST /rest/system/reset",
		"POST /rest/db/override?folder=okteto-1", "GET /rest/debug/support", "GET /qr/?text=x", "GET /rest/noauth/other",
	}
}

// refuses requests that are signed so.
func (d *daemon) refuses(sign func(*http.Request), requests ...string) {
	d.t.Helper()
	for _, request := range requests {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequest(method, "http://"+d.gui+path, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		sign(r)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			d.t.Fatal(err)
		}
		content, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode < 400 {
			d.t.Errorf("%v: %s: %s %.100s", r.Header, request, response.Status, content)
		}
	}
}
