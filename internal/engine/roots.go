package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/syncthing/syncthing/lib/db"
)

// rootsFile in DataDir says of which directory the database knows each folder.
const rootsFile = "roots.json"

// dropMoved has the database forget folders that are another directory now: all that
// it knows would be taken for deleted. It reports which.
func (e *Engine) dropMoved() (moved map[string]bool, err error) {
	moved = map[string]bool{}
	before, now := map[string]string{}, map[string]string{}
	path := filepath.Join(e.cfg.DataDir, rootsFile)
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the folders of the database: %w", err)
	}
	if err == nil && json.Unmarshal(content, &before) != nil {
		before = map[string]string{} // damaged: as of a version that wrote none
	}
	for _, f := range e.cfg.Folders {
		now[f.ID] = f.Path
		if old := before[f.ID]; old != "" && old != f.Path {
			e.log.Warn("the folder is another directory now: files are compared anew", "folder", f.ID, "path", f.Path, "before", old)
			db.DropFolder(e.db, f.ID)
			moved[f.ID] = true
		}
	}
	if len(moved) > 0 {
		if err := newGeneration(e.db); err != nil {
			return nil, err
		}
	}
	after, err := json.Marshal(now)
	if err != nil {
		return nil, fmt.Errorf("note the folders of the database: %w", err)
	}
	if string(after) == string(content) {
		return moved, nil
	}
	// What was forgotten stays forgotten: this may come late, but never early.
	if err := replaceFile(path, after); err != nil {
		return nil, fmt.Errorf("note the folders of the database: %w", err)
	}
	return moved, nil
}

// replaceFile writes a file of ours as a whole: whatever happens, it is the old one or
// the new one.
func replaceFile(path string, content []byte) error {
	temp := path + ".tmp"
	err := os.WriteFile(temp, content, 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}
