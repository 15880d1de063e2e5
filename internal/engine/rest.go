package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/syncthing/syncthing/lib/api"
	"github.com/syncthing/syncthing/lib/build"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/events"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/locations"
	"github.com/syncthing/syncthing/lib/logger"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/ur"
)

// certificateName is Syncthing's default.
const certificateName = "syncthing"

// Sizes of Syncthing's own log recorders (lib/syncthing/syncthing.go).
const (
	maxSystemErrors = 5
	maxSystemLog    = 250
	firstSystemLog  = 10
)

const (
	// Vendor is what /rest/system/version has as "extra" where this engine serves
	// it. Syncthing has that field for those who build it on their own.
	Vendor = "okteto"
	// FlushPath as the only path that /rest/db/scan is asked to scan makes it answer
	// as Flush does: what was saved before is in the database, found by the watcher
	// and not by a scan of the whole folder. It is a name that is never synchronized.
	FlushPath = stfs.UnixTempPrefix + "okteto-flush"
)

// setVendor is for the whole process.
var setVendor = sync.OnceFunc(func() { build.Extra = Vendor })

// startREST serves Syncthing's REST interface, which the original CLI uses,
// before any folder runs, so that no event is missed.
func (e *Engine) startREST(ctx context.Context) error {
	setVendor()
	defaults := events.NewBufferedSubscription(e.events.Subscribe(api.DefaultEventMask), api.EventSubBufferSize)
	disk := events.NewBufferedSubscription(e.events.Subscribe(api.DiskEventMask), api.EventSubBufferSize)
	summaries := model.NewFolderSummaryService(e.wrapper, e.model, e.id, e.events)
	e.tree.Add(summaries)
	service := api.New(e.id, newShown(e), locations.Get(locations.GUIAssets), certificateName, scanModel{e.model, e, ctx}, defaults, disk, e.events,
		noDiscovery{}, e.link, ur.New(e.wrapper, e.model, e.link, true), summaries,
		logger.NewRecorder(logger.DefaultLogger, logger.LevelWarn, maxSystemErrors, 0),
		logger.NewRecorder(logger.DefaultLogger, logger.LevelDebug, maxSystemLog, firstSystemLog),
		true, db.NewMiscDataNamespace(e.db))
	e.tree.Add(service)
	// A service that is never started, because the engine is told to stop first,
	// never says that it has.
	up := make(chan error, 1)
	go func() { up <- service.WaitForStart() }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-up:
		if err != nil {
			return fmt.Errorf("serve sync REST interface on %s: %w", e.cfg.GUIAddress, err)
		}
	}
	return e.openEventBuffers(ctx)
}

// openEventBuffers asks once for each event type that the original CLI polls
// for. Syncthing buffers a type from the first request for it; the CLI asks for
// StateChanged after the first scan is over, found nothing, and took the folder
// to be scanning until something else happened to it.
func (e *Engine) openEventBuffers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := http.Client{Timeout: startTimeout}
	defer client.CloseIdleConnections()
	for _, kind := range []string{"StateChanged", "FolderSummary", "FolderErrors", "DownloadProgress", "StateChanged,FolderSummary,FolderErrors,DownloadProgress"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.cfg.GUIAddress+"/rest/events?since=0&timeout=0&events="+kind, nil)
		if err != nil {
			return fmt.Errorf("open event buffers: %w", err)
		}
		request.Header.Set("X-API-Key", e.cfg.APIKey)
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("open event buffers: %w", err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("open event buffers: REST interface answered %s", response.Status)
		}
	}
	return nil
}

// scanModel has scans that the REST interface is asked for go the way of all
// others: they return when what they found gone is in the database too.
type scanModel struct {
	model.Model
	e   *Engine
	ctx context.Context // of the REST interface
}

// ScanFolder implements model.Model.
func (m scanModel) ScanFolder(folder string) error { return m.ScanFolderSubdirs(folder, nil) }

// ScanFolderSubdirs implements model.Model.
func (m scanModel) ScanFolderSubdirs(folder string, paths []string) error {
	switch {
	case slices.Contains(paths, ""): // the whole folder
		paths = nil
	case slices.Equal(paths, []string{FlushPath}):
		return m.e.Flush(m.ctx, folder)
	}
	return m.e.Scan(m.ctx, folder, paths...)
}

// ResetFolder implements model.Model. Syncthing 1.9, whose REST interface the oldest
// CLIs use, resets a folder that runs; the library refuses to since. The database goes
// as a whole when the engine has ended, which the interface has it do after this.
func (m scanModel) ResetFolder(string) error {
	m.e.reset.Store(true)
	return nil
}

// ScanFolders implements model.Model.
func (m scanModel) ScanFolders() map[string]error {
	failed := map[string]error{}
	for _, id := range m.e.order {
		if err := m.ScanFolder(id); err != nil {
			failed[id] = err
		}
	}
	return failed
}
