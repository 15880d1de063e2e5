package engine

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
	"golang.org/x/sync/errgroup"
)

const (
	// conflictMark is in the name of every conflict copy
	// (https://docs.syncthing.net/users/syncing.html#conflicting-changes).
	conflictMark = ".sync-conflict-"
	// maxPending bounds the saves whose way to the peer is timed at once.
	maxPending = 4096
	// maxPropagation: what took longer was not a save that somebody waited
	// for, but a file with an old time or a peer that was away.
	maxPropagation = time.Minute
	// clockSlack: a difference of clocks is known only to a round trip.
	clockSlack = 20 * time.Millisecond
	// syncCheck is how soon after an event it is worth looking whether both
	// sides are equal.
	syncCheck = 50 * time.Millisecond
)

// tracker follows the engine's events: conflicts, times of propagation, when
// the sides were equal.
type tracker struct {
	e       *Engine
	looked  map[string]bool // folders whose conflicts were read; Serve's own
	compact *compactor

	mu sync.Mutex
	// mu protects the following; the keys are folder ids.
	conflicts map[string]map[string]struct{}
	lastSync  map[string]time.Time
	pending   map[string]map[string]sent
	// deleted are files that were to be deleted here since the last look.
	deleted map[string]map[string]struct{}
}

// sent is a save on its way to the peer.
type sent struct {
	version protocol.Vector
	at      time.Time
}

func newTracker(e *Engine) *tracker {
	t := &tracker{
		e: e, looked: map[string]bool{}, compact: newCompactor(e), conflicts: map[string]map[string]struct{}{},
		lastSync: map[string]time.Time{}, pending: map[string]map[string]sent{},
		deleted: map[string]map[string]struct{}{},
	}
	for _, f := range e.cfg.Folders {
		t.conflicts[f.ID] = map[string]struct{}{}
		t.pending[f.ID] = map[string]sent{}
		t.deleted[f.ID] = map[string]struct{}{}
	}
	return t
}

// Serve follows events until the context ends.
func (t *tracker) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.compact.run(ctx) })
	group.Go(func() error { return t.follow(ctx) })
	return group.Wait()
}

func (t *tracker) follow(ctx context.Context) error {
	sub := t.e.events.Subscribe(events.LocalIndexUpdated | events.RemoteIndexUpdated | events.ItemFinished |
		events.StateChanged | events.ClusterConfigReceived | events.DeviceDisconnected)
	defer sub.Unsubscribe()
	check := time.NewTimer(syncCheck)
	defer check.Stop()
	checking := true
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			checking = false
			t.noteEqual()
			t.restore()
		case ev, ok := <-sub.C():
			if !ok {
				<-ctx.Done()
				return ctx.Err()
			}
			t.handle(ev)
			if !checking {
				checking = true
				check.Reset(syncCheck)
			}
		}
	}
}

func (t *tracker) handle(ev events.Event) {
	data, ok := ev.Data.(map[string]interface{})
	if !ok {
		return
	}
	folder, _ := data["folder"].(string)
	t.findConflicts(folder)
	switch ev.Type {
	case events.LocalIndexUpdated:
		if names, ok := data["filenames"].([]string); ok {
			t.noteConflicts(folder, names)
		}
	case events.RemoteIndexUpdated:
		t.arrived(folder, ev.Time)
	case events.ItemFinished:
		t.compact.received()
		t.received(folder, data, ev.Time)
	}
}

// findConflicts reads, once the folder runs, the conflict copies that are there
// from before.
func (t *tracker) findConflicts(folder string) {
	if t.looked[folder] {
		return
	}
	snap, err := t.e.model.DBSnapshot(folder)
	if err != nil {
		return
	}
	defer snap.Release()
	t.looked[folder] = true
	t.mu.Lock()
	defer t.mu.Unlock()
	snap.WithHaveTruncated(protocol.LocalDeviceID, func(f protocol.FileInfo) bool {
		if strings.Contains(f.Name, conflictMark) && !f.IsDeleted() && !f.IsInvalid() {
			t.conflicts[folder][f.Name] = struct{}{}
		}
		return true
	})
}

func (t *tracker) noteConflicts(folder string, names []string) {
	for _, name := range names {
		if !strings.Contains(name, conflictMark) {
			continue
		}
		f, ok, err := t.e.model.CurrentFolderFile(folder, name)
		exists := err == nil && ok && !f.IsDeleted() && !f.IsInvalid()
		t.mu.Lock()
		if known := t.conflicts[folder]; known != nil {
			_, before := known[name]
			switch {
			case exists && !before:
				known[name] = struct{}{}
				t.e.metrics.conflicts.WithLabelValues(folder).Inc()
			case !exists:
				delete(known, name)
			}
		}
		t.mu.Unlock()
	}
}

// scanned notes saves that the peer should get.
func (t *tracker) scanned(r *folderRunner, changed []due) {
	found := make(map[string]sent, len(changed))
	for _, d := range changed {
		name := osutil.NormalizedFilename(d.path)
		if f, ok, err := t.e.model.CurrentFolderFile(r.f.ID, name); err == nil && ok && !f.IsDirectory() {
			found[name] = sent{f.Version, d.at}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	pending := t.pending[r.f.ID]
	for name, s := range found {
		if len(pending) >= maxPending {
			return
		}
		pending[name] = s
	}
}

// arrived looks which saves the peer has now.
func (t *tracker) arrived(folder string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pending := t.pending[folder]
	if len(pending) == 0 {
		return
	}
	snap, err := t.e.model.DBSnapshot(folder)
	if err != nil {
		return
	}
	defer snap.Release()
	for name, s := range pending {
		if at.Sub(s.at) > maxPropagation {
			delete(pending, name)
			continue
		}
		for _, peer := range t.e.peers() {
			if f, ok := snap.Get(peer, name); ok && f.Version.GreaterEqual(s.version) {
				t.e.metrics.propagation.WithLabelValues(folder, directionOut).Observe(at.Sub(s.at).Seconds())
				delete(pending, name)
				break
			}
		}
	}
}

// received times a save that came from the peer, by its modification time.
func (t *tracker) received(folder string, data map[string]interface{}, at time.Time) {
	if failure, ok := data["error"].(*string); ok && failure != nil {
		t.e.metrics.pullErrors.WithLabelValues(folder).Inc()
		return
	}
	name, _ := data["item"].(string)
	if data["type"] == "file" && data["action"] == "delete" {
		t.mu.Lock()
		if names := t.deleted[folder]; names != nil {
			names[name] = struct{}{}
		}
		t.mu.Unlock()
	}
	if data["type"] != "file" || data["action"] != "update" {
		return
	}
	f, ok, err := t.e.model.CurrentGlobalFile(folder, name)
	if err != nil || !ok {
		return
	}
	for _, peer := range t.e.peers() {
		took := at.Sub(f.ModTime()) + t.e.link.clockSkew(peer)
		if took > -clockSlack && took <= maxPropagation {
			t.e.metrics.propagation.WithLabelValues(folder, directionIn).Observe(max(took, 0).Seconds())
		}
	}
}

func (t *tracker) noteEqual() {
	for _, f := range t.e.cfg.Folders {
		here, err := t.e.completion(protocol.LocalDeviceID, f.ID)
		if err != nil || !here.Done() {
			continue
		}
		for _, peer := range t.e.peers() {
			if there, err := t.e.completion(peer, f.ID); err == nil && there.Done() {
				t.mu.Lock()
				t.lastSync[f.ID] = time.Now()
				t.mu.Unlock()
			}
		}
	}
}

// restore announces files anew that were to be deleted and stayed. The library
// keeps a file whose deletion is in conflict with it by adding up the two versions;
// after a lost database their sum may be that of the deletion itself, and then
// each side believes that the other has the same.
func (t *tracker) restore() {
	t.mu.Lock()
	names := t.deleted
	t.deleted = map[string]map[string]struct{}{}
	for id := range names {
		t.deleted[id] = map[string]struct{}{}
	}
	t.mu.Unlock()
	for id, deleted := range names {
		for name := range deleted {
			ours, known, err := t.e.model.CurrentFolderFile(id, name)
			global, ok, globalErr := t.e.model.CurrentGlobalFile(id, name)
			if err != nil || globalErr != nil || !known || !ok || ours.IsDeleted() || !global.IsDeleted() || !ours.Version.Equal(global.Version) {
				continue
			}
			path := filepath.Join(t.e.folders[id].f.Path, osutil.NativeFilename(name))
			later := ours.ModTime().Add(time.Microsecond)
			if err := os.Chtimes(path, later, later); err != nil { // the watcher sees it
				t.e.log.Info("announce a file anew", "path", name, "err", err)
			}
		}
	}
}

func (t *tracker) folder(id string) (conflicts int, lastSync time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conflicts[id]), t.lastSync[id]
}

// Conflicts are the conflict copies in a folder, relative to its root.
func (e *Engine) Conflicts(folder string) []string {
	e.track.mu.Lock()
	defer e.track.mu.Unlock()
	return slices.Sorted(maps.Keys(e.track.conflicts[folder]))
}
