// Package syncstat measures the synchronization as seen from the pod: what each
// side has and lacks, what the folders are doing, and how long a save on one side
// takes to be in place on the other.
package syncstat

import (
	"context"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"okteto/bin-image/supervisor/syncapi"
)

const (
	// freshness of a snapshot: probes and scrapes may come together.
	freshness = time.Second
	// askTime for one snapshot.
	askTime = 2 * time.Second
)

// Side of the synchronization.
const (
	SidePod    = "pod"
	SideLaptop = "laptop"
)

// Amounts of one side of a folder.
type Amounts struct {
	// Items are files, directories and symbolic links.
	Bytes, Items int64
	// What this side lacks or has yet to delete.
	NeededBytes, NeededItems, NeededDeletes int64
}

// Completion is the part of the bytes that this side has, 0 to 1. As in
// Syncthing, deletes that are due keep it below 1.
func (a Amounts) Completion(globalBytes int64) float64 {
	switch {
	case globalBytes > 0 && a.NeededBytes > 0:
		return 1 - float64(a.NeededBytes)/float64(globalBytes)
	case a.NeededItems > 0 || a.NeededDeletes > 0:
		return 0.95
	default:
		return 1
	}
}

// Folder of a snapshot.
type Folder struct {
	ID    string
	State string
	// Global is the size of the folder as both sides want it.
	GlobalBytes int64
	Pod         Amounts
	// Laptop is known while Connected.
	Laptop     Amounts
	PullErrors int64
	// Error is why the folder is stopped; it may name paths.
	Error string
	// LastSync is when both sides were last seen to be equal.
	LastSync time.Time
}

// InSync says that both sides are equal.
func (f Folder) InSync() bool {
	none := Amounts{}
	pod, laptop := f.Pod, f.Laptop
	pod.Bytes, pod.Items, laptop.Bytes, laptop.Items = 0, 0, 0, 0
	return f.State == "idle" && pod == none && laptop == none
}

// Snapshot of the synchronization.
type Snapshot struct {
	// Up says that the sync daemon answered.
	Up        bool
	Connected bool
	Folders   []Folder
}

// Source makes snapshots. Safe for concurrent use.
type Source struct {
	client     *syncapi.Client
	configPath string
	dataDir    string

	mu       sync.Mutex // protects the following
	last     Snapshot
	lastAt   time.Time
	lastSync map[string]time.Time
}

// NewSource reads the folders from the configuration at configPath, asks client
// about them, and takes dataDir for the engine's database.
func NewSource(client *syncapi.Client, configPath, dataDir string) *Source {
	return &Source{client: client, configPath: configPath, dataDir: dataDir, lastSync: map[string]time.Time{}}
}

// Snapshot is at most a second old.
func (s *Source) Snapshot(ctx context.Context) Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lastAt) < freshness {
		return s.last
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s.last, s.lastAt = s.take(ctx), time.Now()
	return s.last
}

func (s *Source) take(ctx context.Context) Snapshot {
	var snap Snapshot
	config, err := syncapi.ReadConfig(s.configPath)
	if err != nil {
		return snap
	}
	peers, err := s.connected(ctx)
	snap.Up = err == nil
	snap.Connected = len(peers) > 0
	for _, f := range config.Folders {
		folder := Folder{ID: f.ID, State: "unknown"}
		if snap.Up {
			s.ask(ctx, &folder, peers)
		}
		if snap.Connected && folder.InSync() {
			s.lastSync[f.ID] = time.Now()
		}
		folder.LastSync = s.lastSync[f.ID]
		snap.Folders = append(snap.Folders, folder)
	}
	return snap
}

// connected devices.
func (s *Source) connected(ctx context.Context) ([]string, error) {
	var answer struct {
		Connections map[string]struct{ Connected bool }
	}
	if err := s.client.Get(ctx, "/rest/system/connections", nil, &answer); err != nil {
		return nil, err
	}
	var peers []string
	for id, c := range answer.Connections {
		if c.Connected {
			peers = append(peers, id)
		}
	}
	return peers, nil
}

// ask fills a folder in; what cannot be had stays zero.
func (s *Source) ask(ctx context.Context, f *Folder, peers []string) {
	var status struct {
		State, Error                                string
		GlobalBytes, LocalBytes, NeedBytes          int64
		LocalFiles, LocalDirectories, LocalSymlinks int64
		NeedTotalItems, NeedDeletes, PullErrors     int64
	}
	if err := s.client.Get(ctx, "/rest/db/status", url.Values{"folder": {f.ID}}, &status); err != nil {
		return
	}
	f.State, f.Error, f.PullErrors, f.GlobalBytes = status.State, status.Error, status.PullErrors, status.GlobalBytes
	f.Pod = Amounts{
		Bytes: status.LocalBytes, Items: status.LocalFiles + status.LocalDirectories + status.LocalSymlinks,
		NeededBytes: status.NeedBytes, NeededItems: status.NeedTotalItems - status.NeedDeletes, NeededDeletes: status.NeedDeletes,
	}
	for _, peer := range peers {
		var completion struct {
			GlobalBytes, GlobalItems, NeedBytes, NeedItems, NeedDeletes int64
		}
		query := url.Values{"folder": {f.ID}, "device": {peer}}
		if s.client.Get(ctx, "/rest/db/completion", query, &completion) != nil {
			continue
		}
		f.Laptop = Amounts{
			Bytes: completion.GlobalBytes - completion.NeedBytes, Items: completion.GlobalItems - completion.NeedItems,
			NeededBytes: completion.NeedBytes, NeededItems: completion.NeedItems, NeededDeletes: completion.NeedDeletes,
		}
	}
}

// DatabaseBytes is the size of the engine's database on disk.
func (s *Source) DatabaseBytes() int64 {
	var total int64
	_ = filepath.WalkDir(s.dataDir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile: the database is at work
		}
		var info os.FileInfo
		if info, err = entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}
