package engine

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/syncthing/syncthing/lib/protocol"
)

// Directions of a change, as label values.
const (
	directionIn  = "in"
	directionOut = "out"
)

// metrics that are counted as things happen. What can be read from the engine
// at any time is in collector.
type metrics struct {
	scanSeconds *prometheus.HistogramVec
	propagation *prometheus.HistogramVec
	pullErrors  *prometheus.CounterVec
	conflicts   *prometheus.CounterVec
	compactions prometheus.Counter
}

func newMetrics(folders []Folder) *metrics {
	m := &metrics{
		scanSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "okteto_sync_scan_seconds",
			Help:    "Duration of scans for changed files, of single paths and of the whole folder, including the wait for a running transfer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"folder"}),
		propagation: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "okteto_sync_propagation_seconds",
			Help:    "Time from a save on one side until the file is in place on the other; direction out: saved here, in: saved on the peer, with its clock's difference taken out.",
			Buckets: prometheus.ExponentialBuckets(0.001, 1.5, 28),
		}, []string{"folder", "direction"}),
		pullErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_sync_item_failures_total",
			Help: "Items that could not be put in place and were left for a later attempt.",
		}, []string{"folder"}),
		conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "okteto_sync_conflicts_total",
			Help: "Conflict copies made because both sides changed a file.",
		}, []string{"folder"}),
		compactions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "okteto_sync_database_compactions_total",
			Help: "Compactions of the database after large transfers.",
		}),
	}
	for _, f := range folders {
		m.scanSeconds.WithLabelValues(f.ID)
		m.propagation.WithLabelValues(f.ID, directionIn)
		m.propagation.WithLabelValues(f.ID, directionOut)
		m.pullErrors.WithLabelValues(f.ID)
		m.conflicts.WithLabelValues(f.ID)
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.scanSeconds, m.propagation, m.pullErrors, m.conflicts, m.compactions}
}

// gauge is a value read at each scrape, for the engine or for each folder.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	all  func(Status) float64       // nil: per folder
	each func(FolderStatus) float64 // nil: for all
}

func forAll(name, help string, kind prometheus.ValueType, value func(Status) float64) gauge {
	return gauge{desc: prometheus.NewDesc(name, help, nil, nil), kind: kind, all: value}
}

func forEach(name, help string, value func(FolderStatus) float64) gauge {
	return gauge{desc: prometheus.NewDesc(name, help, []string{"folder"}, nil), kind: prometheus.GaugeValue, each: value}
}

// collector exports an engine's state.
type collector struct {
	e      *Engine
	gauges []gauge
	size   *prometheus.Desc
}

// Register exports the engine's metrics until unregister is called. Their labels
// are folder ids and the direction; never paths.
func (e *Engine) Register(registry prometheus.Registerer) (unregister func(), err error) {
	var registered []prometheus.Collector
	unregister = func() {
		for _, c := range registered {
			registry.Unregister(c)
		}
	}
	for _, c := range append(e.metrics.all(), newCollector(e)) {
		if err := registry.Register(c); err != nil {
			unregister()
			return nil, err
		}
		registered = append(registered, c)
	}
	return unregister, nil
}

func newCollector(e *Engine) *collector {
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	return &collector{
		e:    e,
		size: prometheus.NewDesc("okteto_sync_database_bytes", "Size of the synchronization's database on disk.", nil, nil),
		gauges: []gauge{
			forAll("okteto_sync_connected", "Whether the other side is connected.", prometheus.GaugeValue, func(s Status) float64 { return flag(s.Connected) }),
			forAll("okteto_sync_received_bytes_total", "Bytes received from the other side.", prometheus.CounterValue, func(s Status) float64 { return float64(s.InBytes) }),
			forAll("okteto_sync_sent_bytes_total", "Bytes sent to the other side.", prometheus.CounterValue, func(s Status) float64 { return float64(s.OutBytes) }),
			forEach("okteto_sync_state", "State of the folder: 0 idle, 1 scanning, 2 receiving, 3 stopped by an error, 4 stopped by a guard until told to go on.", func(f FolderStatus) float64 { return float64(f.stateNumber()) }),
			forEach("okteto_sync_completion_ratio", "Share of the folder's bytes that this side has.", func(f FolderStatus) float64 { return f.Here.ratio() }),
			forEach("okteto_sync_needed_bytes", "Bytes that this side lacks.", func(f FolderStatus) float64 { return float64(f.Here.NeedBytes) }),
			forEach("okteto_sync_needed_items", "Files, folders and links that this side lacks.", func(f FolderStatus) float64 { return float64(f.Here.NeedItems) }),
			forEach("okteto_sync_needed_deletes", "Deletions that this side has yet to carry out.", func(f FolderStatus) float64 { return float64(f.Here.NeedDeletes) }),
			forEach("okteto_sync_peer_completion_ratio", "Share of the folder's bytes that the other side has.", func(f FolderStatus) float64 { return f.There.ratio() }),
			forEach("okteto_sync_peer_needed_bytes", "Bytes that the other side lacks.", func(f FolderStatus) float64 { return float64(f.There.NeedBytes) }),
			forEach("okteto_sync_peer_needed_items", "Files, folders and links that the other side lacks.", func(f FolderStatus) float64 { return float64(f.There.NeedItems) }),
			forEach("okteto_sync_peer_needed_deletes", "Deletions that the other side has yet to carry out.", func(f FolderStatus) float64 { return float64(f.There.NeedDeletes) }),
			forEach("okteto_sync_files", "Files on this side.", func(f FolderStatus) float64 { return float64(f.Files) }),
			forEach("okteto_sync_bytes", "Bytes of the files on this side.", func(f FolderStatus) float64 { return float64(f.Bytes) }),
			forEach("okteto_sync_global_files", "Files that both sides should have.", func(f FolderStatus) float64 { return float64(f.GlobalFiles) }),
			forEach("okteto_sync_global_bytes", "Bytes of the files that both sides should have.", func(f FolderStatus) float64 { return float64(f.GlobalBytes) }),
			forEach("okteto_sync_last_sync_timestamp_seconds", "When both sides were last known to be equal; 0: not yet.", func(f FolderStatus) float64 { return f.lastSyncSeconds() }),
			forEach("okteto_sync_errors", "Items that cannot be synchronized at the moment.", func(f FolderStatus) float64 { return float64(f.ErrorCount) }),
			forEach("okteto_sync_conflict_copies", "Conflict copies in the folder that nobody has dealt with.", func(f FolderStatus) float64 { return float64(f.Conflicts) }),
			forEach("okteto_sync_watched_directories", "Directories that are watched for changes.", func(f FolderStatus) float64 { return float64(f.Watch.Dirs) }),
			forEach("okteto_sync_watch_limited", "Whether some changes are only found by scanning.", func(f FolderStatus) float64 { return flag(f.Watch.Mode != "events") }),
		},
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.size
	for _, g := range c.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	status := c.e.Status()
	out <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, float64(treeBytes(c.e.cfg.DataDir)))
	for _, g := range c.gauges {
		if g.all != nil {
			out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.all(status))
			continue
		}
		for _, f := range status.Folders {
			out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.each(f), f.ID)
		}
	}
}

// totals are all bytes that crossed this process's connections.
func totals() (in, out int64) { return protocol.TotalInOut() }
