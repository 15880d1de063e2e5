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
	retryEvery = time.Second
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
	since := 0
	for {
		batch, err := w.poll(ctx, since)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			for _, e := range batch {
				since = max(since, e.ID)
				w.handle(e)
			}
			continue
		}
		since = 0 // a new daemon counts from one again
		timer := time.NewTimer(retryEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (w *Watcher) poll(ctx context.Context, since int) ([]event, error) {
	ctx, cancel := context.WithTimeout(ctx, longPoll+10*time.Second)
	defer cancel()
	var batch []event
	err := w.client.Get(ctx, "/rest/events", url.Values{
		"events": {eventTypes}, "since": {strconv.Itoa(since)},
		"timeout": {strconv.Itoa(int(longPoll / time.Second))},
	}, &batch)
	return batch, err
}

func (w *Watcher) handle(e event) {
	switch e.Type {
	case "DeviceConnected":
		w.connects.Inc()
		w.log.Info("laptop connected to the synchronization")
	case "DeviceDisconnected":
		var data struct{ Error string }
		_ = json.Unmarshal(e.Data, &data)
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
