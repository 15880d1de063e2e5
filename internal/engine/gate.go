package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/events"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/osutil"
	"github.com/syncthing/syncthing/lib/protocol"
)

// gate stands between the scans of a guarded folder and its disk: what the
// database has and the disk has not is told to a scan as gone only after the
// guard has passed it. Until then the scan leaves it as it is, whoever asked for
// that scan, and whenever the file vanished. What was held is handed to the
// guard, which looks at all of it at once.
type gate struct {
	set *db.FileSet
	// scanning is set while the folder scans; what else looks at the disk, such
	// as a transfer, is told the truth.
	scanning atomic.Bool
	// wake receives when something was held.
	wake chan struct{}

	// blocking is whether blocked has any.
	blocking atomic.Bool

	mu sync.Mutex
	// mu protects the following; the keys are paths relative to the root.
	open    bool                // everything passes
	passed  map[string]struct{} // what is below a directory passes with it
	held    map[string]bool     // true: the guard has been told
	blocked map[string]struct{} // what stands where a directory of held files was
}

// errUnconfirmed is what a scan is told of what is gone and was not passed.
var errUnconfirmed = errors.New("gone from the disk; not told to the other side before all that is gone has been looked at")

// newGate for a folder with the database ll.
func newGate(folder string, ll *db.Lowlevel) (*gate, error) {
	set, err := db.NewFileSet(folder, ll)
	if err != nil {
		return nil, fmt.Errorf("open sync database of %s: %w", folder, err)
	}
	return &gate{set: set, wake: make(chan struct{}, 1), passed: map[string]struct{}{}, held: map[string]bool{}, blocked: map[string]struct{}{}}, nil
}

// stops reports whether a scan may not see a path as it is.
func (g *gate) stops(disk stfs.Filesystem, name string, info stfs.FileInfo, err error) bool {
	switch {
	case err != nil:
		if !isGone(err) {
			return false
		}
		known, ok := g.known(name)
		if !ok || g.passes(name) || known.IsDeleted() || known.IsInvalid() {
			return false
		}
		if errors.Is(err, syscall.ENOTDIR) {
			g.block(disk, name)
		}
	case g.blocking.Load() && g.isBlocked(name):
		return true
	case !info.IsSymlink():
		return false
	default: // a link in the place of a directory takes all that was below
		known, ok := g.known(name)
		if !ok || !known.IsDirectory() || known.IsDeleted() || known.IsInvalid() || g.passes(name) {
			return false
		}
	}
	g.hold(name)
	return true
}

func isGone(err error) bool { return stfs.IsNotExist(err) || errors.Is(err, syscall.ENOTDIR) }

func (g *gate) known(name string) (protocol.FileInfo, bool) { return localFile(g.set, name) }

// localFile is what the database has of a file on this side.
func localFile(set *db.FileSet, name string) (protocol.FileInfo, bool) {
	snap, err := set.Snapshot()
	if err != nil {
		return protocol.FileInfo{}, false // closed: nothing can be noted either
	}
	defer snap.Release()
	return snap.Get(protocol.LocalDeviceID, name)
}

// block keeps the library from seeing that a file's directory is none: it would
// take the file for deleted.
func (g *gate) block(disk stfs.Filesystem, name string) {
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		if _, err := disk.Lstat(dir); err != nil {
			continue
		}
		g.mu.Lock()
		g.blocked[dir] = struct{}{}
		g.blocking.Store(true)
		g.mu.Unlock()
		return
	}
}

func (g *gate) isBlocked(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.blocked[name]
	return ok
}

func (g *gate) hold(name string) {
	g.mu.Lock()
	if _, ok := g.held[name]; !ok {
		g.held[name] = false
	}
	g.mu.Unlock()
	g.alarm()
}

func (g *gate) alarm() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *gate) passes(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passesLocked(name)
}

func (g *gate) passesLocked(name string) bool {
	if g.open {
		return true
	}
	for ; name != "."; name = filepath.Dir(name) {
		if _, ok := g.passed[name]; ok {
			return true
		}
	}
	return false
}

// takeHeld returns what was held since the last call. What a scan finds is handed
// over when that scan is over, so that it is looked at as one.
func (g *gate) takeHeld() []string {
	if g.scanning.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name, told := range g.held {
		if !told {
			g.held[name] = true
			names = append(names, name)
		}
	}
	return names
}

// holds reports whether something was held that is not in the database yet.
func (g *gate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held)+len(g.passed) > 0
}

// isHeld reports whether the guard has yet to decide about a path.
func (g *gate) isHeld(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.held[osutil.NativeFilename(name)]
	return ok
}

// pass lets the next scan see that these are gone, and what is below them.
func (g *gate) pass(names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range names {
		g.passed[name] = struct{}{}
	}
	for name := range g.held {
		if g.passesLocked(name) {
			delete(g.held, name)
		}
	}
}

// settle ends the holding of a path that is not gone.
func (g *gate) settle(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, name)
}

// forget what is held; the next scan that finds it gone holds it again.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.held)
}

// setOpen lets everything pass, or no longer.
func (g *gate) setOpen(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	if open {
		clear(g.held)
	}
}

// setScanning is called by the folder when it begins to scan and when it ends.
func (g *gate) setScanning(on bool) {
	if !g.scanning.Swap(on) || on {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.passed)
	clear(g.blocked)
	g.blocking.Store(false)
	if len(g.held) > 0 {
		g.alarm()
	}
}

// gatedEvents tells the gates when their folders scan: a folder logs a change of
// its state before it acts.
type gatedEvents struct {
	events.Logger
	gates map[string]*gate // by folder
}

// Log implements events.Logger.
func (l gatedEvents) Log(kind events.EventType, data interface{}) {
	if fields, ok := data.(map[string]interface{}); ok && kind == events.StateChanged {
		folder, _ := fields["folder"].(string)
		if g := l.gates[folder]; g != nil {
			g.setScanning(fields["to"] == "scanning")
		}
	}
	l.Logger.Log(kind, data)
}
