package syncstat

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// States of a folder, as Syncthing names them (lib/model/folderstate.go), and
// "unknown" while the daemon does not answer.
func States() []string {
	return []string{
		"idle", "scanning", "scan-waiting", "sync-waiting", "sync-preparing", "syncing",
		"cleaning", "clean-waiting", "error", "unknown",
	}
}

// Collector of what a snapshot holds.
type Collector struct {
	source *Source

	up, connected, state, completion, neededBytes, neededItems, neededDeletes *prometheus.Desc
	bytes, items, pullErrors, lastSync, database                              *prometheus.Desc
}

// NewCollector exports snapshots of source.
func NewCollector(source *Source) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("okteto_sync_"+name, help, labels, nil)
	}
	return &Collector{
		source:        source,
		up:            desc("up", "Whether the sync daemon answered."),
		connected:     desc("connected", "Whether a laptop is connected."),
		state:         desc("state", "The state of the folder is 1, the others are 0.", "folder", "state"),
		completion:    desc("completion_ratio", "Part of the folder that the side has, 0 to 1.", "folder", "side"),
		neededBytes:   desc("needed_bytes", "Bytes that the side lacks.", "folder", "side"),
		neededItems:   desc("needed_items", "Files, directories and links that the side lacks.", "folder", "side"),
		neededDeletes: desc("needed_deletes", "Items that the side has yet to delete.", "folder", "side"),
		bytes:         desc("bytes", "Size of the folder on the side.", "folder", "side"),
		items:         desc("items", "Files, directories and links of the folder on the side.", "folder", "side"),
		pullErrors:    desc("pull_errors", "Items that could not be written in the pod, now.", "folder"),
		lastSync:      desc("last_sync_timestamp_seconds", "Unix time at which both sides were last seen to be equal; absent before.", "folder"),
		database:      desc("database_bytes", "Size of the sync database on disk."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	snap := c.source.Snapshot(context.Background())
	gauge(c.up, truth(snap.Up))
	gauge(c.connected, truth(snap.Connected))
	gauge(c.database, float64(c.source.DatabaseBytes()))
	for _, f := range snap.Folders {
		state := f.State
		if !slices.Contains(States(), state) {
			state = "unknown"
		}
		for _, s := range States() {
			gauge(c.state, truth(s == state), f.ID, s)
		}
		gauge(c.pullErrors, float64(f.PullErrors), f.ID)
		if !f.LastSync.IsZero() {
			gauge(c.lastSync, float64(f.LastSync.UnixMilli())/1000, f.ID)
		}
		if !snap.Up {
			continue
		}
		sides := map[string]Amounts{SidePod: f.Pod}
		if snap.Connected {
			sides[SideLaptop] = f.Laptop
		}
		for side, a := range sides {
			gauge(c.bytes, float64(a.Bytes), f.ID, side)
			gauge(c.items, float64(a.Items), f.ID, side)
			gauge(c.neededBytes, float64(a.NeededBytes), f.ID, side)
			gauge(c.neededItems, float64(a.NeededItems), f.ID, side)
			gauge(c.neededDeletes, float64(a.NeededDeletes), f.ID, side)
			gauge(c.completion, a.Completion(f.GlobalBytes), f.ID, side)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
