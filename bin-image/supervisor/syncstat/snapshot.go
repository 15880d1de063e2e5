// Package syncstat follows the synchronization from beside the daemon: what the
// folders are doing, for /readyz, and what happens to them, for the log. The
// figures come from the daemon's own metrics.
package syncstat

import (
	"context"
	"net/url"
	"sync"
	"time"

	"okteto/bin-image/supervisor/syncapi"
)

const (
	// freshness of a snapshot: probes come often and from several places.
	freshness = time.Second
	// askTime for one snapshot.
	askTime = 2 * time.Second
)

// Folder of a snapshot.
type Folder struct {
	ID string
	// Path of the root in the pod.
	Path string
	// State in Syncthing's words, or StateUnknown.
	State string
	// PullErrors is the number of items that cannot be written.
	PullErrors int64
}

const (
	// StateError is the state of a folder that has been stopped.
	StateError = "error"
	// StateUnknown is that of a folder that the daemon tells nothing about.
	StateUnknown = "unknown"
)

// Source makes snapshots. Safe for concurrent use.
type Source struct {
	client     *syncapi.Client
	configPath string

	mu     sync.Mutex // protects the following
	last   []Folder
	lastAt time.Time
}

// NewSource reads the folders from the configuration at configPath and asks
// client about them.
func NewSource(client *syncapi.Client, configPath string) *Source {
	return &Source{client: client, configPath: configPath}
}

// Folders are at most a second old. Without a usable configuration there are none.
func (s *Source) Folders(ctx context.Context) []Folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lastAt) >= freshness {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		s.last, s.lastAt = s.ask(ctx), time.Now()
	}
	return s.last
}

func (s *Source) ask(ctx context.Context) []Folder {
	config, err := syncapi.ReadConfig(s.configPath)
	if err != nil {
		return nil
	}
	folders := make([]Folder, 0, len(config.Folders))
	for _, f := range config.Folders {
		var status struct {
			State      string
			PullErrors int64
		}
		if s.client.Get(ctx, "/rest/db/status", url.Values{"folder": {f.ID}}, &status) != nil || status.State == "" {
			status.State = StateUnknown
		}
		folders = append(folders, Folder{ID: f.ID, Path: f.Path, State: status.State, PullErrors: status.PullErrors})
	}
	return folders
}
