package syncstat

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"okteto/bin-image/supervisor/syncapi"
)

const (
	// eventTypes of the daemon that are of use here.
	eventTypes = "ItemFinished,LocalChangeDetected,RemoteIndexUpdated,DeviceConnected,DeviceDisconnected,StateChanged"
	// longPoll is how long a request waits for events.
	longPoll = 60 * time.Second
	// maxPending changes in the pod that the laptop has not acknowledged.
	maxPending = 64
	retryEvery = time.Second
)

// Directions of a change.
const (
	ToPod    = "to_pod"
	ToLaptop = "to_laptop"
)

// Watcher follows the daemon's events and measures propagation: the time from a
// save on one side until the file is in place on the other. It implements
// suture.Service.
type Watcher struct {
	client     *syncapi.Client
	configPath string
	log        *slog.Logger

	seconds *prometheus.HistogramVec
	offset  prometheus.GaugeFunc

	mu        sync.Mutex // protects clock
	clock     clock
	connected time.Time
	peers     map[string]bool
	roots     map[string]string
	pending   map[item]time.Time
}

type item struct{ folder, path string }

// NewWatcher for the daemon behind client.
func NewWatcher(client *syncapi.Client, configPath string, log *slog.Logger) *Watcher {
	w := &Watcher{
		client: client, configPath: configPath, log: log,
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "okteto_sync_propagation_seconds",
			Help: "Time from a save on one side until the file is in place on the other, by direction; of files saved while connected. To the laptop it includes the acknowledgement.",
			Buckets: []float64{
				.0025, .005, .01, .015, .025, .04, .06, .1, .15, .25, .4, .6, 1, 2.5, 5, 10, 30, 60,
			},
		}, []string{"direction"}),
	}
	w.offset = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "okteto_sync_clock_offset_seconds",
		Help: "Estimated time by which the pod's clock is ahead of the laptop's; 0 while the difference is within the delay of the link.",
	}, func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.clock.offset().Seconds()
	})
	w.seconds.WithLabelValues(ToPod)
	w.seconds.WithLabelValues(ToLaptop)
	return w
}

// Collectors of what is measured.
func (w *Watcher) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.seconds, w.offset}
}

// String names the service to suture.
func (w *Watcher) String() string { return "sync watcher" }

// event of the daemon's /rest/events.
type event struct {
	ID   int
	Type string
	Time time.Time
	Data json.RawMessage
}

// Serve follows the daemon until ctx is done, also over its restarts.
func (w *Watcher) Serve(ctx context.Context) error {
	since := 0
	for {
		var batch []event
		query := url.Values{
			"events": {eventTypes}, "since": {strconv.Itoa(since)},
			"timeout": {strconv.Itoa(int(longPoll / time.Second))},
		}
		asking, cancel := context.WithTimeout(ctx, longPoll+10*time.Second)
		err := w.client.Get(asking, "/rest/events", query, &batch)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// A new daemon counts from one again, and its folders may be others.
			since = 0
			w.forget()
			if !sleep(ctx, retryEvery) {
				return ctx.Err()
			}
			continue
		}
		if w.roots == nil {
			w.begin(ctx)
		}
		for _, e := range batch {
			since = max(since, e.ID)
			w.handle(ctx, e)
		}
	}
}

func (w *Watcher) forget() {
	w.roots, w.peers, w.pending, w.connected = nil, map[string]bool{}, map[item]time.Time{}, time.Time{}
}

// begin learns what the events do not repeat.
func (w *Watcher) begin(ctx context.Context) {
	w.forget()
	w.roots = map[string]string{}
	config, err := syncapi.ReadConfig(w.configPath)
	if err != nil {
		return
	}
	for _, f := range config.Folders {
		w.roots[f.ID] = f.Path
	}
	var answer struct {
		Connections map[string]struct {
			Connected bool
			StartedAt time.Time
		}
	}
	if w.client.Get(ctx, "/rest/system/connections", nil, &answer) != nil {
		return
	}
	for id, c := range answer.Connections {
		if c.Connected {
			w.peers[id] = true
			w.connected = time.Now()
		}
	}
}

func (w *Watcher) handle(ctx context.Context, e event) {
	var data struct {
		ID, Device, Folder, Item, Path, Type, Action, To string
		Error                                            *string
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return
	}
	switch e.Type {
	case "DeviceConnected":
		w.peers[data.ID] = true
		w.connected = e.Time
	case "DeviceDisconnected":
		delete(w.peers, data.ID)
		clear(w.pending)
	case "ItemFinished":
		if data.Error == nil && data.Type == "file" && data.Action == "update" {
			w.arrived(item{data.Folder, data.Item}, e.Time)
		}
	case "LocalChangeDetected":
		if data.Type == "file" && data.Action == "modified" {
			w.left(item{data.Folder, data.Path}, e.Time)
		}
	case "RemoteIndexUpdated":
		if w.peers[data.Device] {
			w.acknowledged(ctx, data.Folder, data.Device, e.Time)
		}
	case "StateChanged":
		if data.To == "error" {
			w.log.Error("folder is stopped", "folder", data.Folder, "err", deref(data.Error))
		}
	}
}

// arrived: the laptop's save is in place in the pod.
func (w *Watcher) arrived(it item, at time.Time) {
	saved, ok := w.saved(it)
	if !ok {
		return
	}
	w.mu.Lock()
	difference := at.Sub(saved)
	// Saved before the connection stood, or with the time of an older file:
	// that is not the time of a save. The laptop's clock is believed no further
	// than what is known of it.
	if w.connected.IsZero() || saved.Add(w.clock.offset()).Before(w.connected.Add(-toleranceOneWay)) && difference > 0 {
		w.mu.Unlock()
		return
	}
	w.clock.oneWay.add(difference)
	delay := difference - w.clock.offset()
	w.mu.Unlock()
	w.seconds.WithLabelValues(ToPod).Observe(max(0, delay.Seconds()))
}

// left: a save in the pod was noticed.
func (w *Watcher) left(it item, at time.Time) {
	saved, ok := w.saved(it)
	if !ok || len(w.peers) == 0 || saved.Before(w.connected) || saved.After(at) || len(w.pending) >= maxPending {
		return
	}
	w.pending[it] = saved
}

// acknowledged: the laptop has told of changes in what it has.
func (w *Watcher) acknowledged(ctx context.Context, folder, device string, at time.Time) {
	for it, saved := range w.pending {
		if it.folder != folder {
			continue
		}
		var file struct {
			Availability []struct{ ID string }
		}
		query := url.Values{"folder": {it.folder}, "file": {it.path}}
		if w.client.Get(ctx, "/rest/db/file", query, &file) != nil {
			delete(w.pending, it)
			continue
		}
		for _, a := range file.Availability {
			if a.ID != device {
				continue
			}
			delete(w.pending, it)
			delay := at.Sub(saved)
			w.mu.Lock()
			w.clock.return_.add(delay)
			w.mu.Unlock()
			w.seconds.WithLabelValues(ToLaptop).Observe(max(0, delay.Seconds()))
		}
	}
}

// saved is the modification time of a file in the pod.
func (w *Watcher) saved(it item) (time.Time, bool) {
	root, ok := w.roots[it.folder]
	if !ok {
		return time.Time{}, false
	}
	info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(it.path)))
	if err != nil || !info.Mode().IsRegular() {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
