package syncstat

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"okteto/bin-image/supervisor/syncapi"
)

const (
	// eventTypes of the daemon that are worth a line in the log
	// (https://docs.syncthing.net/dev/events.html).
	eventTypes = "DeviceConnected,DeviceDisconnected,FolderErrors,StateChanged"
	// longPoll is how long a request waits for events.
	longPoll   = 60 * time.Second
	retryEvery = 500 * time.Millisecond
	// errorsShown of one event: a full disk fails every file.
	errorsShown = 3
)

// Watcher logs and counts what happens to the synchronization. It implements
// suture.Service.
type Watcher struct {
	client *syncapi.Client
	log    *slog.Logger

	connects, disconnects prometheus.Counter
	stops                 *prometheus.CounterVec

	connected map[string]bool // by device id; Serve's own
}

// NewWatcher for the daemon behind client.
func NewWatcher(client *syncapi.Client, log *slog.Logger) *Watcher {
	return &Watcher{
		client: client, log: log,
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_sync_connects_total", Help: "Connections of a laptop to the sync daemon.",
		}),
		disconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_sync_disconnects_total", Help: "Connections to a laptop that ended, other than with the daemon.",
		}),
		stops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_sync_folder_stops_total", Help: "Times that the folder was stopped by an error.",
		}, []string{"folder"}),
	}
}

// Collectors of what is counted.
func (w *Watcher) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.connects, w.disconnects, w.stops}
}

// String names the service to suture.
func (w *Watcher) String() string { return "sync watcher" }

// event of /rest/events.
type event struct {
	ID   int
	Type string
	Data json.RawMessage
}

// Serve follows the daemon until ctx is done, also over its restarts.
func (w *Watcher) Serve(ctx context.Context) error {
	for {
		// The error says that the daemon has ended or is not there yet, which
		// others log.
		_ = w.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		timer := time.NewTimer(retryEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// follow one run of the daemon until it does not answer any more.
func (w *Watcher) follow(ctx context.Context) error {
	w.connected = map[string]bool{}
	// The daemon buffers events from the first request for their types, so what
	// was before that is asked for, after it.
	since := 0
	batch, err := w.poll(ctx, since, 0)
	if err == nil {
		err = w.catchUp(ctx)
	}
	for err == nil {
		for _, e := range batch {
			since = max(since, e.ID)
			w.handle(e)
		}
		batch, err = w.poll(ctx, since, longPoll)
	}
	return err
}

func (w *Watcher) poll(ctx context.Context, since int, wait time.Duration) ([]event, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	var batch []event
	err := w.client.Get(ctx, "/rest/events", url.Values{
		"events": {eventTypes}, "since": {strconv.Itoa(since)},
		"timeout": {strconv.Itoa(int(wait / time.Second))},
	}, &batch)
	return batch, err
}

// catchUp counts the connections that stand already.
func (w *Watcher) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var answer struct {
		Connections map[string]struct{ Connected bool }
	}
	if err := w.client.Get(ctx, "/rest/system/connections", nil, &answer); err != nil {
		return err
	}
	for id, c := range answer.Connections {
		if c.Connected {
			w.connect(id)
		}
	}
	return nil
}

func (w *Watcher) connect(device string) {
	if w.connected[device] {
		return
	}
	w.connected[device] = true
	w.connects.Inc()
	w.log.Info("laptop connected to the synchronization")
}

func (w *Watcher) handle(e event) {
	switch e.Type {
	case "DeviceConnected":
		var data struct{ ID string }
		if json.Unmarshal(e.Data, &data) == nil {
			w.connect(data.ID)
		}
	case "DeviceDisconnected":
		var data struct{ ID, Error string }
		if json.Unmarshal(e.Data, &data) != nil || !w.connected[data.ID] {
			return
		}
		delete(w.connected, data.ID)
		w.disconnects.Inc()
		w.log.Info("laptop disconnected from the synchronization", "err", data.Error)
	case "StateChanged":
		var data struct{ Folder, To, Error string }
		if json.Unmarshal(e.Data, &data) == nil && data.To == StateError {
			w.stops.WithLabelValues(data.Folder).Inc()
			w.log.Error("folder is stopped", "folder", data.Folder, "err", data.Error)
		}
	case "FolderErrors":
		var data struct {
			Folder string
			Errors []struct{ Path, Error string }
		}
		if json.Unmarshal(e.Data, &data) != nil {
			return
		}
		for _, failure := range data.Errors[:min(len(data.Errors), errorsShown)] {
			w.log.Warn("item cannot be synchronized", "folder", data.Folder, "path", failure.Path, "err", failure.Error)
		}
		if more := len(data.Errors) - errorsShown; more > 0 {
			w.log.Warn("more items cannot be synchronized", "folder", data.Folder, "count", more)
		}
	}
}
