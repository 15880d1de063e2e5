package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/ignore"
	"github.com/syncthing/syncthing/lib/model"

	"okteto/internal/contract"
)

// WatchState says how a folder's changes are found.
type WatchState struct {
	// Mode is "events", "scans" (frequent ones, since events cannot be had) or
	// "off".
	Mode string `json:"mode"`
	// Dirs watched.
	Dirs int `json:"dirs"`
	// Problem says why not everything is watched, and the fix; empty: all is.
	Problem string `json:"problem,omitempty"`
}

// folderRunner watches one folder and scans what changed.
type folderRunner struct {
	e      *Engine
	f      Folder
	log    *slog.Logger
	in     *intake
	source watchSource
	fs     stfs.Filesystem
	// caseSensitive is whether the disk tells upper from lower case.
	caseSensitive bool
	gate          *gate // nil: the folder is not guarded

	specials     *specials
	saidSpecials atomic.Bool
	lastStatus   atomic.Pointer[FolderStatus]
	changes      chan change
	watched      chan struct{} // closed when the watcher is up for the first time
	once         sync.Once
	rewatch      chan struct{} // the ignore patterns changed
	flushes      chan flushRequest
	// stateChanged tells scanLoop that WatchState has.
	stateChanged chan struct{}
	// canaries that are out: name → chan struct{}, closed when it is seen.
	canaries sync.Map

	mu sync.Mutex
	// mu protects the following.
	matcher    *ignore.Matcher
	exceptions bool // the patterns have some that un-ignore
	state      WatchState
	lastAt     time.Time // end of the last full scan
	took       time.Duration
	root       os.FileInfo // the root as it was when the folder started
	accepted   bool        // see accept
	resumed    int         // how often the folder was told to go on
	rescan     time.Duration
}

// changeBuffer is how many observations may wait for the runner; the kernel's
// queue is behind it.
const changeBuffer = 1024

func newFolderRunner(e *Engine, f Folder) *folderRunner {
	raw, _ := e.wrapper.Folder(f.ID)
	raw.FilesystemType = config.FilesystemTypeBasic // our own looks are not scans
	r := &folderRunner{
		e: e, f: f, log: e.log.With("folder", f.ID),
		in: newIntake(e.cfg.Watch, func(path string) bool { return openForWriting(filepath.Join(f.Path, path)) }), source: watchTree, fs: raw.Filesystem(nil), gate: e.gates[f.ID], specials: e.disks[f.ID].specials, caseSensitive: raw.CaseSensitiveFS,
		changes: make(chan change, changeBuffer), watched: make(chan struct{}), rewatch: make(chan struct{}, 1), flushes: make(chan flushRequest),
		stateChanged: make(chan struct{}, 1),
		state:        WatchState{Mode: "off"}, rescan: f.RescanInterval,
	}
	r.loadIgnores()
	r.noteRoot()
	return r
}

// loadIgnores reads the patterns for the watcher; the engine reads its own.
func (r *folderRunner) loadIgnores() {
	matcher := ignore.New(r.fs)
	if err := matcher.Load(contract.IgnoreFile); err != nil && !stfs.IsNotExist(err) {
		r.log.Warn("read ignore patterns", "err", err)
	}
	r.mu.Lock()
	r.matcher, r.exceptions = matcher, hasExceptions(matcher)
	r.mu.Unlock()
}

// skip implements watchTarget.
func (r *folderRunner) skip(path string) bool {
	if path == "." || path == contract.IgnoreFile {
		return false
	}
	if isCanary(path) {
		return false
	}
	if stfs.IsTemporary(path) || stfs.IsInternal(path) {
		return true
	}
	r.mu.Lock()
	matcher, exceptions := r.matcher, r.exceptions
	r.mu.Unlock()
	result := matcher.Match(path)
	// A directory that is ignored may hold exceptions ("!" patterns).
	return result.IsIgnored() && (result.CanSkipDir() || !exceptions)
}

func hasExceptions(m *ignore.Matcher) bool {
	for _, line := range m.Lines() {
		if len(line) > 0 && line[0] == '!' {
			return true
		}
	}
	return false
}

// seen implements watchTarget.
func (r *folderRunner) seen(c change) { r.changes <- c }

// Serve watches and scans until the context ends.
func (r *folderRunner) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { r.watchLoop(ctx) })
	wg.Go(func() { r.untangleLoop(ctx) })
	return r.scanLoop(ctx)
}

// watchRetry after a watcher failed.
const watchRetry = 30 * time.Second

// watchLoop keeps a watcher running, and starts it anew when the ignore
// patterns change.
func (r *folderRunner) watchLoop(ctx context.Context) {
	defer r.up()
	if r.e.cfg.Watch.Disabled {
		return
	}
	for ctx.Err() == nil {
		r.loadIgnores()
		err, renewed := r.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if renewed {
			r.e.cfg.OnIgnores(r.f.ID)
			continue
		}
		r.log.Warn("file watcher stopped: changes are found by scanning", "err", err)
		r.setState(WatchState{Mode: "scans", Problem: err.Error()})
		r.up()
		select {
		case <-ctx.Done():
		case <-r.rewatch:
		case <-time.After(watchRetry):
		}
	}
}

func (r *folderRunner) watchOnce(ctx context.Context) (err error, renewed bool) { // the error is the result of the watcher
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	target := drainingTarget{r, ctx}
	var missed sync.Once
	go func() {
		done <- r.source(ctx, r.f.Path, r.e.cfg.Watch.MaxWatches, target, func(dirs int, problem error) {
			state := WatchState{Mode: "events", Dirs: dirs}
			if problem != nil {
				state = WatchState{Mode: "scans", Dirs: dirs, Problem: problem.Error()}
				r.log.Warn("file watcher is limited", "err", problem)
			}
			r.setState(state)
			r.up()
			// Nobody has watched until now. Before the first scan there was no
			// need to.
			missed.Do(func() {
				if r.e.isStarted() {
					target.seen(change{".", opOverflow})
				}
			})
		})
	}()
	select {
	case err := <-done:
		return err, false
	case <-r.rewatch:
		cancel()
		<-done
		return nil, true
	}
}

// drainingTarget stops blocking when its watcher is told to end.
type drainingTarget struct {
	*folderRunner
	ctx context.Context
}

func (t drainingTarget) seen(c change) {
	select {
	case t.changes <- c:
	case <-t.ctx.Done():
	}
}

func (r *folderRunner) up() { r.once.Do(func() { close(r.watched) }) }

// renewWatch has the watcher start anew.
func (r *folderRunner) renewWatch() {
	select {
	case r.rewatch <- struct{}{}:
	default:
	}
}

func (r *folderRunner) setState(s WatchState) {
	r.mu.Lock()
	r.state = s
	r.mu.Unlock()
	r.rescanChanged()
}

// rescanChanged is told when what the time of the next full scan depends on has.
func (r *folderRunner) rescanChanged() {
	select {
	case r.stateChanged <- struct{}{}:
	default:
	}
}

func (r *folderRunner) rescanInterval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rescan
}

// setRescanInterval is told between full scans; 0: none.
func (r *folderRunner) setRescanInterval(interval time.Duration) {
	r.mu.Lock()
	changed := r.rescan != interval
	r.rescan = interval
	r.mu.Unlock()
	if changed {
		r.rescanChanged()
	}
}

func (r *folderRunner) watchState() WatchState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// errStopping is the answer of a folder that is about to be started anew, with
// another configuration.
var errStopping = errors.New("folder is stopping")

// scan runs in the caller's goroutine; the folder serializes scans and pulls. A
// folder that is just being started anew is waited for.
func (r *folderRunner) scan(ctx context.Context, paths []string) error {
	const pause, patience = 10 * time.Millisecond, 5 * time.Second
	for until := time.Now().Add(patience); ; {
		err := r.scanOnce(ctx, paths)
		if !errors.Is(err, errStopping) && !errors.Is(err, model.ErrFolderNotRunning) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// forgetCases has the library read the names of directories anew, if their disk does
// not tell upper from lower case. It keeps them for a second (casefs.go), in which a
// file that was renamed by case alone had its old name, and was never scanned again.
func (r *folderRunner) forgetCases() {
	if r.caseSensitive {
		return
	}
	// There is no such file; after a removal the names are forgotten.
	_ = r.fs.RemoveAll(canaryPrefix + "none" + canarySuffix)
}

func (r *folderRunner) scanOnce(ctx context.Context, paths []string) error {
	r.forgetCases()
	started := time.Now()
	subs := make([]string, len(paths))
	for i, path := range paths {
		subs[i] = filepath.FromSlash(path)
	}
	done := make(chan error, 1)
	go func() { done <- r.e.model.ScanFolderSubdirs(r.f.ID, subs) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.e.metrics.scanSeconds.WithLabelValues(r.f.ID).Observe(time.Since(started).Seconds())
	r.noteSpecials()
	if err == nil && len(paths) == 0 {
		r.mu.Lock()
		r.lastAt, r.took, r.accepted = time.Now(), time.Since(started), false
		r.mu.Unlock()
		if r.gate != nil {
			r.gate.setOpen(false)
		}
		if !r.isRootNoted() {
			r.noteRoot()
		}
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return errStopping
	}
	return err
}
