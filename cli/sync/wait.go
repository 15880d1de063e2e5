package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"okteto/internal/engine"
)

// ErrDisconnected is returned when there is no connection to the container, so
// that nothing can be known to be in place there.
var ErrDisconnected = errors.New("the container's end of the synchronization is not connected")

// Wait returns when all that was saved on the laptop and in the pod before the
// call is in place on the other side. It works from any process. When the
// context ends first, its error says what was missing.
func Wait(ctx context.Context, home string) error {
	info, err := ReadInfo(home)
	if err != nil {
		return err
	}
	client := info.Client()
	defer client.Close()
	if err := client.Flush(ctx, ""); err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if !s.Connected {
		return ErrDisconnected
	}
	for _, f := range s.Folders {
		if stopped(f) {
			return &BlockedError{[]engine.FolderStatus{f}}
		}
		sequence, err := info.scanRemote(ctx, f.ID)
		if err != nil {
			return err
		}
		if err := client.Settle(ctx, f.ID, sequence); err != nil {
			return err
		}
	}
	return nil
}

// scanRemote has the pod look for changes, and returns how far its index is
// then. Without a way to its REST interface the pod's own watcher must do.
func (i Info) scanRemote(ctx context.Context, folder string) (sequence int64, err error) {
	if i.Remote == "" {
		return 0, nil
	}
	query := "?folder=" + url.QueryEscape(folder)
	scan := query
	var version struct {
		Extra string `json:"extra"`
	}
	if err := i.remote(ctx, http.MethodGet, "/rest/system/version", nil, &version); err != nil {
		return 0, err
	}
	if version.Extra == engine.Vendor { // others must read the whole folder
		scan += "&sub=" + url.QueryEscape(engine.FlushPath)
	}
	if err := i.remote(ctx, http.MethodPost, "/rest/db/scan"+scan, nil, nil); err != nil {
		return 0, err
	}
	var status struct {
		Sequence int64 `json:"sequence"`
	}
	err = i.remote(ctx, http.MethodGet, "/rest/db/status"+query, nil, &status)
	return status.Sequence, err
}

// remote calls the pod's REST interface.
func (i Info) remote(ctx context.Context, method, path string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+i.Remote+path, body)
	if err != nil {
		return fmt.Errorf("ask the container's sync daemon: %w", err)
	}
	request.Header.Set("X-API-Key", i.APIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the container's sync daemon: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("ask the container's sync daemon: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the container's sync daemon: %s: %s", response.Status, strings.TrimSpace(string(content)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read answer of the container's sync daemon: %w", err)
	}
	return nil
}

// Resume lets folders go on that a guard has stopped, on either side. It
// returns the ids of those that were.
func Resume(ctx context.Context, home string) ([]string, error) {
	info, err := ReadInfo(home)
	if err != nil {
		return nil, err
	}
	client := info.Client()
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	var resumed []string
	for _, f := range s.Folders {
		if !stopped(f) {
			continue
		}
		if f.State == "stopped" {
			err = client.Resume(ctx, f.ID)
		} else {
			err = info.remote(ctx, http.MethodPatch, "/rest/config/folders/"+url.PathEscape(f.ID), strings.NewReader(`{"paused":false}`), nil)
		}
		if err != nil {
			return resumed, err
		}
		resumed = append(resumed, f.Path)
	}
	return resumed, nil
}

// Conflicts are the paths of conflict copies on the laptop.
func Conflicts(ctx context.Context, home string) ([]string, error) {
	info, err := ReadInfo(home)
	if err != nil {
		return nil, err
	}
	client := info.Client()
	defer client.Close()
	copies, err := client.Conflicts(ctx)
	if err != nil {
		return nil, err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range s.Folders {
		for _, name := range copies[f.ID] {
			paths = append(paths, filepath.Join(f.Path, filepath.FromSlash(name)))
		}
	}
	return paths, nil
}
