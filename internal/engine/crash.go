package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/syncthing/syncthing/lib/locations"
)

// The library ends the process when it meets a damaged or contradictory database,
// and a supervisor starts it again, for ever. So starts are counted that came to
// nothing: after two the database is repaired, after four a new one is made. One
// that was killed counts as well, so a single one must not cost anything.
const (
	// startsFile in DataDir counts them.
	startsFile = "starts"
	// repairAfter and renewAfter are how many.
	repairAfter, renewAfter = 2, 4
	// provenAfter the first scan, a start has come to something.
	provenAfter = 3 * time.Second
	// repairSuffix marks a database that the library repairs when it opens it
	// (lib/db/lowlevel.go).
	repairSuffix = ".needsrepair"
)

// failedStarts is how many came to nothing.
func failedStarts(dataDir string) int {
	content, err := os.ReadFile(filepath.Join(dataDir, startsFile))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(content))) // damaged: none
	return n
}

// countStart notes one that has yet to come to something.
func countStart(dataDir string) error {
	n := failedStarts(dataDir) + 1
	if err := os.WriteFile(filepath.Join(dataDir, startsFile), []byte(strconv.Itoa(n)), 0o600); err != nil {
		return fmt.Errorf("count starts: %w", err)
	}
	return nil
}

// startProven forgets the starts that came to nothing.
func startProven(dataDir string) { _ = os.Remove(filepath.Join(dataDir, startsFile)) }

// mistrust looks how often the process came to an early end, and has the database
// repaired or, as the last resort, set aside.
func (e *Engine) mistrust() error {
	path := filepath.Join(e.cfg.DataDir, locations.LevelDBDir)
	failed := failedStarts(e.cfg.DataDir)
	if _, err := os.Stat(path); err != nil {
		return nil // there is none, or opening it says why
	}
	switch {
	case failed >= renewAfter:
		e.log.Warn("the engine came to an early end again and again: starting with a new database", "path", path)
		startProven(e.cfg.DataDir)
		return e.setBrokenAside(path)
	case failed >= repairAfter:
		file, err := os.OpenFile(path+repairSuffix, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("mark sync database for repair: %w", err)
		}
		return file.Close()
	}
	return nil
}

// prove waits until the start has come to something.
func (e *Engine) prove(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(provenAfter):
		startProven(e.cfg.DataDir)
	}
}
