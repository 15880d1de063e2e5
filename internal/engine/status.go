package engine

import (
	"fmt"
	"time"

	"github.com/syncthing/syncthing/lib/protocol"
)

// Status of an engine.
type Status struct {
	Connected bool `json:"connected"`
	// InBytes and OutBytes have crossed since the process started.
	InBytes  int64          `json:"inBytes"`
	OutBytes int64          `json:"outBytes"`
	Folders  []FolderStatus `json:"folders"`
}

// FolderStatus is one folder's part of Status.
type FolderStatus struct {
	ID    string `json:"id"`
	Label string `json:"label,omitempty"`
	Path  string `json:"path"`
	// State is Syncthing's name for it (idle, scanning, syncing, …), or
	// "stopped" when a guard did it.
	State string `json:"state"`
	// Error says why the folder is in State "error" or "stopped".
	Error string `json:"error,omitempty"`
	// Here and There are what each side lacks.
	Here  Completion `json:"here"`
	There Completion `json:"there"`
	// Files and Bytes on this side, and what both should have.
	Files       int   `json:"files"`
	Bytes       int64 `json:"bytes"`
	GlobalFiles int   `json:"globalFiles"`
	GlobalBytes int64 `json:"globalBytes"`
	// Errors of items, the first maxErrors of ErrorCount.
	Errors     []ItemError `json:"errors,omitempty"`
	ErrorCount int         `json:"errorCount"`
	// Skipped are the first maxErrors of SkippedCount sockets, named pipes and
	// devices on this side, which are not synchronized; the count ends at
	// maxSpecials.
	Skipped      []ItemError `json:"skipped,omitempty"`
	SkippedCount int         `json:"skippedCount,omitempty"`
	Conflicts    int         `json:"conflicts"`
	// ConflictCopies are the first maxErrors of them.
	ConflictCopies []string   `json:"conflictCopies,omitempty"`
	LastSync       time.Time  `json:"lastSync,omitzero"`
	Watch          WatchState `json:"watch"`
}

// Completion is how far one side is.
type Completion struct {
	GlobalBytes int64 `json:"globalBytes"`
	GlobalItems int   `json:"globalItems"`
	NeedBytes   int64 `json:"needBytes"`
	NeedItems   int   `json:"needItems"`
	NeedDeletes int   `json:"needDeletes"`
	// Known is false as long as the peer has not said what it has.
	Known bool `json:"known"`
	// State of the folder at the peer: valid, paused (also when a guard stopped
	// it there), notSharing or unknown; empty for this side.
	State string `json:"state,omitempty"`
}

// Done reports whether nothing is lacking.
func (c Completion) Done() bool {
	return c.Known && c.NeedBytes == 0 && c.NeedItems == 0 && c.NeedDeletes == 0
}

func (c Completion) ratio() float64 {
	if !c.Known {
		return 0
	}
	if c.GlobalBytes == 0 || c.NeedBytes <= 0 {
		return 1
	}
	return 1 - float64(c.NeedBytes)/float64(c.GlobalBytes)
}

// ItemError is a file that cannot be synchronized, and why.
type ItemError struct {
	Path string `json:"path"`
	Err  string `json:"error"`
}

// maxErrors listed in a status.
const maxErrors = 20

// StateStopped is the state of a folder that a guard stopped.
const StateStopped = "stopped"

func (f FolderStatus) stateNumber() int {
	switch f.State {
	case "idle":
		return 0
	case "error":
		return 3
	case StateStopped:
		return 4
	case "scanning", "scan-waiting":
		return 1
	}
	return 2
}

func (f FolderStatus) lastSyncSeconds() float64 {
	if f.LastSync.IsZero() {
		return 0
	}
	return float64(f.LastSync.UnixMilli()) / 1000
}

// Status reads the engine's state; it is cheap.
func (e *Engine) Status() Status {
	var s Status
	s.InBytes, s.OutBytes = totals()
	s.Connected = e.connected()
	for _, id := range e.order {
		s.Folders = append(s.Folders, e.awaitStatus(id))
	}
	return s
}

// statusPoll is how often it is looked whether what a status reads is held up.
const statusPoll = 20 * time.Millisecond

// awaitStatus reads a folder's status. A write that waits for room holds up all that
// reads the database: then it is the status of before, and the reason.
func (e *Engine) awaitStatus(id string) FolderStatus {
	r := e.folders[id]
	if e.room.full() == "" {
		read := make(chan FolderStatus, 1)
		go func() { read <- e.folderStatus(id) }() // ends when the write does
		ticker := time.NewTicker(statusPoll)
		defer ticker.Stop()
		for held := false; !held; {
			select {
			case s := <-read:
				r.lastStatus.Store(&s)
				return s
			case <-ticker.C:
				held = e.room.full() != ""
			}
		}
	}
	s := FolderStatus{ID: id, Label: r.f.Label, Path: r.f.Path, Watch: r.watchState()}
	if last := r.lastStatus.Load(); last != nil {
		s = *last
	}
	s.State, s.Error = "error", e.room.full()
	s.Here.Known, s.There.Known = false, false // done is not known any more
	if s.Error == "" {
		s.Error = ErrNoRoom.Error() // it has healed just now
	}
	if reason := e.halts.get(id); reason != "" {
		s.State, s.Error = StateStopped, reason
	}
	return s
}

func (e *Engine) connected() bool {
	for _, p := range e.peers() {
		if e.model.ConnectedTo(p) {
			return true
		}
	}
	return false
}

func (e *Engine) peers() []protocol.DeviceID {
	var ids []protocol.DeviceID
	for _, p := range e.cfg.Peers {
		if id, err := protocol.DeviceIDFromString(p.ID); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func (e *Engine) folderStatus(id string) FolderStatus {
	r := e.folders[id]
	s := FolderStatus{ID: id, Label: r.f.Label, Path: r.f.Path, Watch: r.watchState()}
	state, _, err := e.model.State(id)
	s.State = state
	if err != nil {
		s.Error = err.Error()
	}
	if reason := e.halts.get(id); reason != "" {
		s.State, s.Error = StateStopped, reason
	}
	if snap, err := e.model.DBSnapshot(id); err == nil {
		local, global := snap.LocalSize(), snap.GlobalSize()
		s.Files, s.Bytes = local.Files, local.Bytes
		s.GlobalFiles, s.GlobalBytes = global.Files, global.Bytes
		snap.Release()
	}
	s.Here, _ = e.completion(protocol.LocalDeviceID, id)
	for _, p := range e.peers() {
		s.There, _ = e.completion(p, id)
	}
	if failed, err := e.model.FolderErrors(id); err == nil {
		for _, f := range failed {
			if r.gate != nil && r.gate.isHeld(f.Path) {
				continue // not an error, but about to be decided
			}
			if s.ErrorCount++; s.ErrorCount <= maxErrors {
				s.Errors = append(s.Errors, ItemError{f.Path, f.Err})
			}
		}
	}
	skipped := r.specials.list(r.f.Path, r.skip)
	s.Skipped, s.SkippedCount = skipped[:min(len(skipped), maxErrors)], len(skipped)
	s.Conflicts, s.LastSync = e.track.folder(id)
	copies := e.Conflicts(id)
	s.ConflictCopies = copies[:min(len(copies), maxErrors)]
	return s
}

func (e *Engine) completion(device protocol.DeviceID, folder string) (Completion, error) {
	c, err := e.model.Completion(device, folder)
	if err != nil {
		return Completion{}, fmt.Errorf("completion of %s: %w", folder, err)
	}
	done := Completion{
		GlobalBytes: c.GlobalBytes, GlobalItems: c.GlobalItems,
		NeedBytes: c.NeedBytes, NeedItems: c.NeedItems, NeedDeletes: c.NeedDeletes,
		Known: true,
	}
	if device != protocol.LocalDeviceID {
		state, _ := c.RemoteState.MarshalText()
		done.State = string(state)
		done.Known = done.State == "valid"
	}
	return done, nil
}
