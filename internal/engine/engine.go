package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/locations"
	"github.com/syncthing/syncthing/lib/logger"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/svcutil"
	"github.com/thejerf/suture/v4"

	"okteto/internal/contract"
)

// ErrRestart is returned by Serve when the REST interface was asked to restart.
var ErrRestart = errors.New("restart requested")

// Engine synchronizes folders with peers while Serve runs.
type Engine struct {
	cfg     Config
	id      protocol.DeviceID
	log     *slog.Logger
	events  events.Logger
	wrapper config.Wrapper
	db      *db.Lowlevel
	room    *room // what db writes through
	model   model.Model
	link    *link
	pumps   *pumps
	tree    *suture.Supervisor
	folders map[string]*folderRunner
	order   []string // folder ids as configured
	track   *tracker
	metrics *metrics
	halts   *halts
	gates   map[string]*gate // of the guarded folders
	disks   map[string]*disk

	started chan struct{} // closed when the model runs its folders
	once    sync.Once
	reset   atomic.Bool // the REST interface was asked for a new database
}

// New opens the database and the listener; Serve does the rest. Whoever calls
// New must call Serve, which closes what New opened, or Close.
func New(c Config) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	registerTrash()
	e := &Engine{cfg: c, id: c.DeviceID(), log: c.Log, started: make(chan struct{}), folders: map[string]*folderRunner{}, gates: map[string]*gate{}, disks: map[string]*disk{}}
	for _, dir := range []string{c.Home, c.DataDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make sync home: %w", err)
		}
	}
	raw, err := c.syncthing()
	if err != nil {
		return nil, err
	}
	for i := range raw.Folders {
		// We watch and time the scans; see the package comment.
		raw.Folders[i].FSWatcherEnabled = false
		raw.Folders[i].RescanIntervalS = 0
	}
	if e.events = events.NewLogger(); c.GUIAddress != "" {
		if err := setLocations(c); err != nil {
			return nil, err
		}
	}
	fresh, err := e.openDatabase(raw)
	if err != nil {
		return nil, err
	}
	if fresh {
		err = newGeneration(e.db)
	}
	if err == nil {
		err = e.prepareFolders(fresh, raw)
	}
	if err == nil {
		err = e.assemble()
	}
	if full := e.room.failure(); err != nil || full != nil {
		if full == nil {
			// A damaged database may be opened and not be read.
			_ = countStart(e.cfg.DataDir)
		}
		e.Close()
		return nil, errors.Join(err, full)
	}
	return e, nil
}

// prepareFolders makes roots, markers and gates. It ends with the configuration
// that the parts share.
func (e *Engine) prepareFolders(fresh bool, raw config.Configuration) error {
	var err error
	if e.halts, err = loadHalts(e.cfg.Home); err != nil {
		return err
	}
	moved, err := e.dropMoved()
	if err != nil {
		return err
	}
	for i, f := range e.cfg.Folders {
		if moved[f.ID] {
			if err := e.halts.set(f.ID, ""); err != nil {
				return err
			}
		}
		if err := prepareRoot(f, fresh || moved[f.ID]); err != nil {
			// The folder will be in an error state; the others work.
			e.log.Warn("prepare sync folder", "folder", f.ID, "err", err)
		}
		// Only a root that is there can tell. Without, Syncthing reads the whole
		// directory of each file that it receives.
		raw.Folders[i].CaseSensitiveFS = caseSensitive(f.Path)
		if f.GuardRoot {
			if e.gates[f.ID], err = newGate(f.ID, e.db); err != nil {
				return err
			}
		}
		set, err := db.NewFileSet(f.ID, e.db)
		if err != nil {
			return fmt.Errorf("open sync database of %s: %w", f.ID, err)
		}
		e.disks[f.ID] = useDisk(&raw.Folders[i], e.gates[f.ID], func(name string) (protocol.FileInfo, bool) { return localFile(set, name) })
		raw.Folders[i].Paused = e.halts.get(f.ID) != ""
	}
	e.wrapper = config.Wrap("", raw, e.id, e.events) // what is saved, see shown.go
	return nil
}

// setLocations points Syncthing's globals at our folders.
func setLocations(c Config) error {
	if err := locations.SetBaseDir(locations.ConfigBaseDir, c.Home); err != nil {
		return fmt.Errorf("set sync home: %w", err)
	}
	if err := locations.SetBaseDir(locations.DataBaseDir, c.DataDir); err != nil {
		return fmt.Errorf("set sync data folder: %w", err)
	}
	return nil
}

// assemble makes the parts; nothing runs yet.
func (e *Engine) assemble() error {
	keyGen := protocol.NewKeyGenerator()
	e.model = model.NewModel(e.wrapper, e.id, e.db, e.protectedFiles(), gatedEvents{e.events, e.gates}, keyGen)
	if err := useGeneration(e.db, e.model); err != nil {
		return err
	}
	e.pumps = newPumps(e.id, e.events, e.log)
	e.pumps.source = e.model
	var err error
	if e.link, err = newLink(&e.cfg, e.wrapper, e.model, e.pumps, keyGen); err != nil {
		return err
	}
	e.link.promote, e.link.beforeUse = newPromoter(e.model, e.log), e.takeSeeded
	e.metrics = newMetrics(e.cfg.Folders)
	e.track = newTracker(e)
	e.tree = suture.New("engine", svcutil.SpecWithDebugLogger(logger.DefaultLogger))
	for _, f := range e.cfg.Folders {
		e.folders[f.ID] = newFolderRunner(e, f)
		e.order = append(e.order, f.ID)
	}
	return nil
}

func (e *Engine) protectedFiles() []string {
	files := []string{filepath.Join(e.cfg.DataDir, locations.LevelDBDir)}
	for _, name := range []string{contract.SyncthingConfigFile, contract.SyncthingCertFile, contract.SyncthingKeyFile} {
		files = append(files, filepath.Join(e.cfg.Home, name))
	}
	return files
}

// Serve runs the engine until the context ends, which is no error, or until it
// cannot go on, as when the database's disk fails. It can be called once.
func (e *Engine) Serve(ctx context.Context) error {
	err := errors.New("sync engine: Serve called twice")
	e.once.Do(func() { err = e.serve(ctx) })
	return err
}

func (e *Engine) serve(ctx context.Context) error {
	// The event logger and the configuration outlive the rest: parts block on
	// them while they stop.
	outlive, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	var last sync.WaitGroup
	last.Go(func() { _ = e.events.Serve(outlive) })
	last.Go(func() { _ = e.wrapper.Serve(outlive) })
	defer func() {
		stopLast()
		last.Wait()
		e.db.Close()
		e.link.close() // it may not have been started
		if e.reset.Load() {
			if err := ResetDatabase(e.cfg.DataDir); err != nil {
				e.log.Error("cannot reset the database, as was asked for over REST", "err", err)
			}
		}
	}()
	if err := countStart(e.cfg.DataDir); err != nil {
		e.log.Warn("start of the engine", "err", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer e.room.serve(ctx, cancel)()
	for _, subscriber := range []config.Committer{resumer{e}, folderVerifier{}} {
		e.wrapper.Subscribe(subscriber)
		defer e.wrapper.Unsubscribe(subscriber)
	}
	e.tree.Add(e.db)
	e.tree.Add(e.pumps)
	e.tree.Add(e.track)
	done := e.tree.ServeBackground(ctx)
	if e.cfg.GUIAddress != "" {
		if err := e.startREST(ctx); err != nil {
			stopped := ctx.Err() != nil
			cancel(err)
			<-done
			startProven(e.cfg.DataDir)
			if stopped {
				return nil
			}
			return err
		}
	}
	e.startFolders(ctx)
	last.Go(func() { e.prove(ctx) })
	return e.ended(ctx, <-done)
}

// ended tells an end that was asked for from one by failure.
func (e *Engine) ended(ctx context.Context, err error) error {
	if err := e.room.failure(); err != nil {
		startProven(e.cfg.DataDir) // no fault of the database
		return fmt.Errorf("write sync database in %s: %w", e.cfg.DataDir, err)
	}
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		startProven(e.cfg.DataDir)
		return nil
	}
	var fatal *svcutil.FatalErr
	if errors.As(err, &fatal) {
		switch fatal.Status {
		case svcutil.ExitRestart:
			startProven(e.cfg.DataDir)
			return ErrRestart
		case svcutil.ExitSuccess: // asked to shut down
			startProven(e.cfg.DataDir)
			return nil
		}
		err = fatal.Err
	}
	if isDiskOrLock(err) {
		startProven(e.cfg.DataDir) // no fault of the database
	}
	return fmt.Errorf("sync engine: %w", err)
}

// startFolders watches first and scans then, so that no change falls between.
func (e *Engine) startFolders(ctx context.Context) {
	for _, id := range e.order {
		e.tree.Add(e.folders[id])
	}
	limit := time.NewTimer(watchTimeout)
	defer limit.Stop()
	for _, id := range e.order {
		select {
		case <-ctx.Done():
			return
		case <-e.folders[id].watched:
		case <-limit.C:
			e.log.Info("file watcher needs long to start: going on without", "folder", id)
		}
	}
	e.tree.Add(e.model)
	close(e.started)
	// Peers are met when we know what we have: the first thing they learn is
	// the whole index, and nothing could be received earlier anyway.
	for _, id := range e.order {
		e.awaitFirstScan(ctx, id)
		_ = e.folders[id].confirmed(ctx) // a folder in error has said so
	}
	e.tree.Add(e.link)
}

// isStarted reports whether folders scan.
func (e *Engine) isStarted() bool {
	select {
	case <-e.started:
		return true
	default:
		return false
	}
}

// awaitFirstScan returns when a folder has scanned once, or failed to.
func (e *Engine) awaitFirstScan(ctx context.Context, folder string) {
	for ctx.Err() == nil {
		// The ignore file itself is never scanned: this only waits.
		err := e.folders[folder].scan(ctx, []string{contract.IgnoreFile})
		if errors.Is(err, config.ErrMarkerMissing) && e.folders[folder].mend() {
			_ = e.folders[folder].scan(ctx, nil) // a folder in error says so
			return
		}
		if !errors.Is(err, model.ErrFolderMissing) && !errors.Is(err, model.ErrFolderNotRunning) {
			return
		}
		select { // the model is still starting the folder
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// Close releases what New opened when Serve will not run.
func (e *Engine) Close() {
	e.once.Do(func() {
		e.db.Close()
		if e.link != nil {
			e.link.close()
		}
	})
}

// DeviceID of this end.
func (e *Engine) DeviceID() string { return e.id.String() }

// ListenAddress is where peers can dial, with the port that was chosen if the
// configuration said 0; empty if this end only dials.
func (e *Engine) ListenAddress() string {
	if e.link.listener == nil {
		return ""
	}
	return e.link.listener.Addr().String()
}

// SetPeerAddress points the engine at a peer's new address, drops what was
// connected before, and dials at once.
func (e *Engine) SetPeerAddress(peer, address string) error {
	id, err := protocol.DeviceIDFromString(peer)
	if err != nil {
		return fmt.Errorf("sync peer %q: %w", peer, err)
	}
	return e.link.setAddress(id, address)
}

// Scan looks for changes below the paths of a folder, relative to its root with
// forward slashes or the system's; no paths: everywhere. It returns when the
// database knows them. A folder that has not finished its first scan waits.
func (e *Engine) Scan(ctx context.Context, folder string, paths ...string) error {
	f, ok := e.folders[folder]
	if !ok {
		return fmt.Errorf("scan: no folder %s", folder)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.started:
	}
	err := error(nil)
	if len(paths) == 0 {
		err = f.scanAll(ctx)
	} else {
		err = f.scan(ctx, paths)
	}
	if err != nil {
		return err
	}
	return f.confirmed(ctx)
}

// startTimeout bounds how long the REST interface may take to listen.
const startTimeout = 10 * time.Second

// watchTimeout bounds how long a watcher may hold up its folder's first scan.
// One that comes up later makes a full scan.
const watchTimeout = 5 * time.Second
