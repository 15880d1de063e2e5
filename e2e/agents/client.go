//go:build e2e

package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"okteto/bin-image/original"
	"okteto/internal/contract"
)

// client drives a pod step by step as the original CLI's `up` does.
type client struct {
	*connection
	home   string
	local  original.Local
	daemon *exec.Cmd
	ended  chan struct{}
	// REST interfaces, host:port.
	localREST, remoteREST string
}

// up connects, starts the laptop's Syncthing and brings both ends together.
// The laptop's folders are in dir, one for each of the pod's.
func (e *environment) up(home string, folders []string) *client {
	e.Helper()
	out, err := e.exec("\n", e.dev.CleanCommand()...)
	if err != nil {
		e.Fatalf("clean: %v", err)
	}
	e.checkCleanOutput(out)
	c := e.attach(home, folders, false)
	c.initialSync()
	return c
}

// reconnect goes on with what an earlier up has brought together.
func (e *environment) reconnect(home string, folders []string) *client {
	e.Helper()
	return e.attach(home, folders, true)
}

func (e *environment) attach(home string, folders []string, synced bool) *client {
	e.Helper()
	c := &client{connection: e.connect(), home: home}
	c.remoteREST = c.listen(contract.SyncthingGUIPort)
	c.local = original.Local{Paths: folders, GUIAddress: freeAddress(e), RemoteAddress: c.listen(contract.SyncthingPort), Synced: synced}
	c.localREST = c.local.GUIAddress
	c.writeConfig()
	c.startDaemon()
	return c
}

// checkCleanOutput: the CLI reads the lines in front of clean.
func (e *environment) checkCleanOutput(out string) {
	e.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := map[original.Era]int{original.S: 1, original.M: 3, original.H: 1}[e.dev.Era]
	if len(lines) != want {
		e.Errorf("the clean command printed %q, want %d lines", out, want)
	}
	if e.dev.Era == original.M && (lines[0] == "" || lines[len(lines)-1] != "no") {
		e.Errorf("version and hook lines: %q", lines)
	}
}

func freeAddress(e *environment) string {
	e.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *client) writeConfig() {
	c.e.Helper()
	config, err := c.e.dev.LocalConfig(c.local)
	if err != nil {
		c.e.Fatal(err)
	}
	for file, content := range map[string]string{
		contract.SyncthingConfigFile: config,
		contract.SyncthingCertFile:   string(c.e.keys.LocalCert),
		contract.SyncthingKeyFile:    string(c.e.keys.LocalKey),
	} {
		if err := os.WriteFile(filepath.Join(c.home, file), []byte(content), 0o600); err != nil {
			c.e.Fatal(err)
		}
	}
}

func (c *client) startDaemon() {
	c.e.Helper()
	log := filepath.Join(c.home, contract.SyncthingLogFile)
	args := []string{"-home", c.home, "-no-browser", "-logfile", log}
	if c.e.dev.Era == original.H {
		args = []string{"--home", c.home, "--no-browser", "--logfile", log, "--log-max-old-files=0"}
	}
	c.daemon = exec.Command(stock(c.e, stockVersion(c.e.dev.Era)), args...)
	c.daemon.Env = append(os.Environ(), "STNOUPGRADE=1", "HOME="+c.home)
	c.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.daemon.Start(); err != nil {
		c.e.Fatal(err)
	}
	c.ended = make(chan struct{})
	go func() { _ = c.daemon.Wait(); close(c.ended) }()
	c.e.Cleanup(func() { c.down() })
}

// down ends the laptop's side.
func (c *client) down() {
	if c.daemon == nil {
		return
	}
	_ = syscall.Kill(-c.daemon.Process.Pid, syscall.SIGKILL)
	<-c.ended
	c.daemon = nil
	c.close()
}

// rest asks one of the two REST interfaces.
func (c *client) rest(ctx context.Context, method, address, path string, query url.Values, v any) error {
	u := url.URL{Scheme: "http", Host: address, Path: "/rest/" + path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", original.APIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w: %s", path, response.Status, errNotYet, body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

// initialSync is the CLI's sequence up to "ready".
func (c *client) initialSync() {
	c.e.Helper()
	begin := time.Now()
	sides := []string{c.localREST, c.remoteREST}
	for _, side := range sides {
		c.e.eventually("ping "+side, func(ctx context.Context) error {
			return c.rest(ctx, http.MethodGet, side, "system/ping", nil, nil)
		})
	}
	for i := range c.local.Paths {
		for _, side := range sides {
			c.e.eventually("first scan at "+side, func(ctx context.Context) error { return c.scanned(ctx, side, i) })
		}
	}
	scanned := time.Since(begin)
	c.e.eventually("connected", func(ctx context.Context) error {
		var answer struct {
			Connections map[string]struct{ Connected bool }
		}
		err := c.rest(ctx, http.MethodGet, c.localREST, "system/connections", nil, &answer)
		if err == nil && !answer.Connections[c.e.dev.RemoteID].Connected {
			err = errNotYet
		}
		return err
	})
	connected := time.Since(begin)
	c.completed()
	completed := time.Since(begin)
	c.local.Synced = true
	c.writeConfig()
	// The answer may be cut off by the restart; the CLI does not look at it.
	_ = c.rest(c.e.Context(), http.MethodPost, c.localREST, "system/restart", nil, nil)
	c.e.eventually("the local restart", func(ctx context.Context) error {
		var config struct{ Folders []struct{ Type string } }
		err := c.rest(ctx, http.MethodGet, c.localREST, "system/config", nil, &config)
		if err == nil && (len(config.Folders) == 0 || config.Folders[0].Type != "sendreceive") {
			err = errNotYet
		}
		return err
	})
	c.e.Logf("era %s: first scans over after %s, connected after %s, equal after %s (ready), restarted after %s", c.e.dev.Era,
		scanned.Round(time.Millisecond), connected.Round(time.Millisecond), completed.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
}

// scanned is how the CLI finds out that a folder's first scan is over: the newest
// has only the events, and takes a folder without any to be scanning.
func (c *client) scanned(ctx context.Context, side string, folder int) error {
	busy := []string{"scanning", "scan-waiting"}
	id := original.FolderID(folder)
	if c.e.dev.Era != original.H {
		var status struct{ State string }
		err := c.rest(ctx, http.MethodGet, side, "db/status", url.Values{"folder": {id}}, &status)
		if err == nil && (status.State == "" || slices.Contains(busy, status.State)) {
			err = errNotYet
		}
		return err
	}
	var events []struct{ Data struct{ To string } }
	err := c.rest(ctx, http.MethodGet, side, "events", url.Values{
		"folder": {id}, "since": {"0"}, "limit": {"1"}, "timeout": {"0"}, "events": {"StateChanged"},
	}, &events)
	switch {
	case err != nil:
		return err
	case len(events) == 0 && side == c.remoteREST:
		// Stock Syncthing buffers a type of events from the first request for
		// it, and the scan is over by then: the CLI waited for seconds.
		c.e.Errorf("the pod has no events of its first scan")
		return nil
	case len(events) == 0:
		return nil
	case slices.Contains(busy, events[len(events)-1].Data.To):
		return errNotYet
	}
	return nil
}

// completed waits as the CLI does: override the pod's files with the laptop's
// until both ends say that the pod has everything.
func (c *client) completed() {
	c.e.Helper()
	c.e.eventually("completion", func(ctx context.Context) error {
		for i := range c.local.Paths {
			query := url.Values{"folder": {original.FolderID(i)}, "device": {c.e.dev.RemoteID}}
			if err := c.rest(ctx, http.MethodPost, c.localREST, "db/override", query, nil); err != nil {
				return err
			}
		}
		type completion struct{ GlobalBytes, NeedBytes, NeedDeletes int64 }
		var local, remote completion
		query := url.Values{"device": {c.e.dev.RemoteID}}
		if c.e.dev.Era == original.S { // 1.9 wants a folder
			query.Set("folder", original.FolderID(0))
		}
		if err := c.rest(ctx, http.MethodGet, c.localREST, "db/completion", query, &local); err != nil {
			return err
		}
		if err := c.rest(ctx, http.MethodGet, c.remoteREST, "db/completion", query, &remote); err != nil {
			return err
		}
		if local.NeedBytes != 0 || remote.NeedBytes != 0 || local.GlobalBytes != remote.GlobalBytes || local.NeedDeletes != 0 {
			return fmt.Errorf("%w: local %+v remote %+v", errNotYet, local, remote)
		}
		return nil
	})
}
