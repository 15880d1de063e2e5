package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/syncthing/syncthing/lib/config"
)

// haltsFile in Home keeps the folders that were stopped, over restarts.
const haltsFile = "stopped.json"

// halts are the folders that a guard has stopped, with the reason.
type halts struct {
	path string
	// turn is held while a folder is stopped or resumed: a folder that shows as
	// stopped must not be resumed before it is.
	turn sync.Mutex

	mu      sync.Mutex
	reasons map[string]string // protected by mu
}

func loadHalts(home string) (*halts, error) {
	h := &halts{path: filepath.Join(home, haltsFile), reasons: map[string]string{}}
	content, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read stopped folders: %w", err)
	}
	if err := json.Unmarshal(content, &h.reasons); err != nil || h.reasons == nil {
		h.reasons = map[string]string{} // damaged: the guards look again anyway
	}
	return h, nil
}

func (h *halts) get(folder string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reasons[folder]
}

// set notes a reason; an empty one forgets the folder.
func (h *halts) set(folder, reason string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reason == "" {
		delete(h.reasons, folder)
	} else {
		h.reasons[folder] = reason
	}
	content, err := json.Marshal(h.reasons)
	if err != nil {
		return fmt.Errorf("note stopped folders: %w", err)
	}
	if err := replaceFile(h.path, content); err != nil {
		return fmt.Errorf("note stopped folders: %w", err)
	}
	return nil
}

func (r *folderRunner) resumptions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed
}

// Resume lets a folder that a guard has stopped go on: what was deleted here is
// deleted on the other side. It returns when the folder has been scanned.
func (e *Engine) Resume(ctx context.Context, folder string) error {
	if _, ok := e.folders[folder]; !ok {
		return fmt.Errorf("resume: no folder %s", folder)
	}
	if resumed, err := e.resume(folder); err != nil || !resumed {
		return err
	}
	return e.Scan(ctx, folder)
}

func (e *Engine) resume(folder string) (bool, error) {
	e.halts.turn.Lock()
	defer e.halts.turn.Unlock()
	if e.halts.get(folder) == "" {
		return false, nil
	}
	return true, e.modifyFolder(folder, func(f *config.FolderConfiguration) { f.Paused = false })
}

// resumer notices that a stopped folder is told to go on, by Resume or over the
// REST interface (PATCH /rest/config/folders/ID with paused false).
type resumer struct{ e *Engine }

func (r resumer) String() string { return "resumer" }

// CommitConfiguration implements config.Committer.
func (r resumer) CommitConfiguration(from, to config.Configuration) bool {
	before := from.FolderMap()
	for _, f := range to.Folders {
		runner := r.e.folders[f.ID]
		if f.Paused || !before[f.ID].Paused || runner == nil || r.e.halts.get(f.ID) == "" {
			continue
		}
		runner.accept()
		if err := r.e.halts.set(f.ID, ""); err != nil {
			r.e.log.Warn("forget stopped folder", "folder", f.ID, "err", err)
		}
		if err := prepareRoot(runner.f, true); err != nil {
			r.e.log.Warn("prepare sync folder", "folder", f.ID, "err", err)
		}
		runner.noteRoot()
		runner.renewWatch() // it may hold the old root; a full scan follows
	}
	return true
}
