package engine

import (
	"context"
	"errors"
	"time"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/protocol"
)

const (
	// scanBatch bounds the paths of one scan, so that in a storm of changes a
	// lone save waits for one batch at most.
	scanBatch = 512
	// pollFactor bounds the share of time spent scanning where events cannot
	// be had: one part in pollFactor.
	pollFactor = 25
	// guardBurst removals at once are looked at as a whole, once there has been
	// none for guardRest, or after guardHold.
	guardBurst = guardRoot
	guardRest  = 100 * time.Millisecond
	guardHold  = 3 * time.Second
	// treeHold times MaxHold is how long a file that is being written may hold
	// back the new folder it is in, which can only be scanned as a whole.
	treeHold = 5
	// heldPoll is how often what is held is looked at again.
	heldPoll = 10 * time.Millisecond
	// busyHold is how long a new folder may wait for what is made in it.
	busyHold = 50 * time.Millisecond
	// scanRetryMin and scanRetryMax space out scans of a folder in error.
	scanRetryMin = time.Second
	scanRetryMax = 5 * time.Second
)

// scanState is scanLoop's own.
type scanState struct {
	backlog  backlog
	full     bool      // a full scan is due
	fullAt   time.Time // not before this
	fullFrom time.Time // since when it is due
	burst    bool      // removals are held until no more follow
	running  bool
	flushing []flushRequest // wait until nothing is due
	heldLast int            // how much the gate held at the latest full scan
	heldFrom time.Time      // since when a growing number is waited for
	failure  error          // of the latest scan
	done     chan scanResult
	retry    time.Duration
}

type scanResult struct {
	paths []due
	later []due // not scanned: something there is being written
	full  bool
	err   error
}

// scanLoop turns observations into scans of exact paths.
func (r *folderRunner) scanLoop(ctx context.Context) error {
	s := &scanState{backlog: newBacklog(), done: make(chan scanResult, 1), retry: scanRetryMin}
	timer := time.NewTimer(0)
	defer timer.Stop()
	rescan := r.nextRescan(time.Now())
	for {
		select {
		case <-ctx.Done():
			if s.running {
				<-s.done
			}
			return ctx.Err()
		case c := <-r.changes:
			r.take(s, c, time.Now())
			r.drain(s)
		case result := <-s.done:
			s.running = false
			r.finished(s, result)
			if result.full {
				rescan = r.nextRescan(time.Now())
			}
		case <-r.stateChanged:
			rescan = r.nextRescan(time.Now())
		case <-r.held():
		case request := <-r.flushes:
			r.drain(s)
			r.in.hurry(time.Now())
			s.flushing = append(s.flushing, request)
		case <-timer.C:
		}
		now := time.Now()
		r.takeHeld(s, now)
		if !rescan.IsZero() && !now.Before(rescan) && !s.full {
			s.full, s.fullAt, s.fullFrom = true, now, now
		}
		for _, d := range r.in.take(now) {
			s.backlog.add(d)
		}
		held := r.start(ctx, s, now)
		s.flushed(held)
		timer.Reset(r.wait(s, now, rescan, held))
	}
}

// held receives when the gate has held something.
func (r *folderRunner) held() <-chan struct{} {
	if r.gate == nil {
		return nil
	}
	return r.gate.wake
}

// takeHeld has what scans found gone, and were not shown, looked at.
func (r *folderRunner) takeHeld(s *scanState, now time.Time) {
	if r.gate == nil {
		return
	}
	names := r.gate.takeHeld()
	for _, name := range names {
		s.backlog.add(due{path: name, removed: true, since: now, at: now})
	}
	if len(names) < guardBurst || r.watchState().Mode == "events" || r.isStopped() {
		return
	}
	// Without events only another scan tells whether more is going.
	if s.heldLast == 0 {
		s.heldFrom = now
	}
	if len(names) != s.heldLast && now.Sub(s.heldFrom) < guardHold {
		s.heldLast = len(names)
		s.full, s.fullAt, s.fullFrom = true, now.Add(guardRest), now
		return
	}
	s.heldLast = 0
}

func (r *folderRunner) isStopped() bool { return r.e.halts.get(r.f.ID) != "" }

// drain takes what has come in meanwhile, so that a storm is seen as one.
func (r *folderRunner) drain(s *scanState) {
	for range changeBuffer {
		select {
		case c := <-r.changes:
			r.take(s, c, time.Now())
		default:
			return
		}
	}
}

func (r *folderRunner) take(s *scanState, c change, now time.Time) {
	switch {
	case isCanary(c.path):
		r.canarySeen(c.path)
	case c.op == opOverflow || c.path == ".":
		if c.op == opRootGone {
			r.log.Warn("the folder's root was moved, removed or unmounted", "path", r.f.Path)
		}
		if !s.full {
			s.full, s.fullAt, s.fullFrom = true, now, now
		}
	case r.isIgnoreFile(c.path):
		r.renewWatch()
		r.in.add(c, now)
	default:
		r.in.add(c, now)
	}
}

// nextRescan is when the next full scan is due; zero: never.
func (r *folderRunner) nextRescan(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	interval := r.rescan
	if r.state.Mode == "scans" {
		interval = max(r.e.cfg.Watch.PollInterval, pollFactor*r.took)
	}
	if interval <= 0 {
		return time.Time{}
	}
	return now.Add(interval)
}

// start scans what may be scanned now. It reports whether something is held
// back because files are being written.
func (r *folderRunner) start(ctx context.Context, s *scanState, now time.Time) (held bool) {
	if s.running {
		return false
	}
	s.burst = false
	if s.full && !now.Before(s.fullAt) {
		if r.in.openBelow(".") && now.Sub(s.fullFrom) < r.e.cfg.Watch.MaxHold {
			held = true
		} else {
			s.full = false
			s.backlog.clear()
			if r.gate != nil {
				r.gate.forget() // this scan finds it again
			}
			r.run(ctx, s, nil, true)
			return false
		}
	}
	var batch []due
	if batch = r.takeGuarded(s, now); batch == nil {
		return held
	}
	if len(r.in.items) > 0 {
		free := batch[:0:0]
		for _, d := range batch {
			if r.hold(d, now) {
				s.backlog.add(d)
				held = true
				continue
			}
			free = append(free, d)
		}
		batch = free
	}
	if len(batch) > 0 {
		r.run(ctx, s, batch, false)
	}
	return held
}

// hold reports whether a path must wait because its scan would cover files that
// are being written: a new directory can only be scanned with all that is in it.
func (r *folderRunner) hold(d due, now time.Time) bool {
	waited := now.Sub(d.since)
	if waited >= treeHold*r.e.cfg.Watch.MaxHold {
		return false
	}
	root := r.scanRoot(d.path)
	return r.in.openBelow(root) || (root != d.path && waited < busyHold && r.in.busyBelow(root))
}

// takeGuarded takes the next batch. A burst of removals is held until it is
// over, and then looked at as a whole.
func (r *folderRunner) takeGuarded(s *scanState, now time.Time) []due {
	removed, latest := s.backlog.removals()
	if r.gate == nil || len(removed) == 0 {
		return s.backlog.take(scanBatch)
	}
	burst := len(removed)+len(r.in.queues[stageRemoved]) >= guardBurst
	if burst && (s.full || now.Sub(latest) < guardRest) && now.Sub(removed[0].since) < guardHold {
		s.burst = true
		return s.backlog.takeOthers(scanBatch)
	}
	if r.guard(func() verdict { return r.lookAtRemovals(append(removed, r.in.removals()...)) }) {
		s.backlog.clear()
		return nil
	}
	if !burst {
		return s.backlog.take(scanBatch)
	}
	// The whole burst in one scan, so that it is not looked at in pieces.
	return s.backlog.take(max(scanBatch, len(s.backlog.items)))
}

func (r *folderRunner) run(ctx context.Context, s *scanState, batch []due, full bool) {
	s.running = true
	go func() { s.done <- r.scanBatch(ctx, batch, full) }()
}

func (r *folderRunner) scanBatch(ctx context.Context, batch []due, full bool) scanResult {
	if full {
		return scanResult{full: true, err: r.fullScan(ctx)}
	}
	r.forgetCases()
	changed, later, paths, err := r.choose(ctx, batch)
	if err != nil {
		return scanResult{err: err}
	}
	if r.gate != nil {
		changed, later, paths = r.withoutReplaced(changed, later, paths)
	}
	if len(paths) == 0 {
		if len(later) > 0 {
			pauseForUnfinished(ctx)
		}
		return scanResult{later: later}
	}
	err = r.scan(ctx, paths)
	if err == nil {
		r.e.track.scanned(r, changed)
	}
	return scanResult{paths: changed, later: later, err: err}
}

// scanAll scans the whole folder, unless a guard stops it.
func (r *folderRunner) scanAll(ctx context.Context) error {
	if r.guard(r.lookAtRoot) {
		return model.ErrFolderPaused
	}
	return r.scan(ctx, nil)
}

// fullScan also checks the watcher: what a full scan finds the watcher should
// have reported.
func (r *folderRunner) fullScan(ctx context.Context) error {
	before := r.sequence()
	if err := r.scanAll(ctx); err != nil {
		return err
	}
	if r.sequence() == before || r.watchState().Mode != "events" || r.probe(ctx) || ctx.Err() != nil {
		return nil
	}
	r.log.Warn("file watcher does not report changes: starting it anew")
	r.renewWatch()
	return nil
}

func (r *folderRunner) sequence() int64 {
	snap, err := r.e.model.DBSnapshot(r.f.ID)
	if err != nil {
		return 0
	}
	defer snap.Release()
	return snap.Sequence(protocol.LocalDeviceID)
}

// flushed answers those who wait until all is scanned. What is held back, or is
// still being written, they do not wait for.
func (s *scanState) flushed(held bool) {
	if s.running || s.burst || (len(s.backlog.items) > 0 && !held) {
		return
	}
	for _, request := range s.flushing {
		request.done <- s.failure
	}
	s.flushing = nil
}

func (r *folderRunner) finished(s *scanState, result scanResult) {
	s.failure = result.err
	for _, d := range result.later {
		s.backlog.add(d)
	}
	if result.err == nil {
		if s.retry > scanRetryMin && r.watchState().Mode != "events" {
			r.renewWatch() // what was in the way of scans may have been in its way too
		}
		s.retry = scanRetryMin
		return
	}
	if errors.Is(result.err, context.Canceled) || errors.Is(result.err, model.ErrFolderPaused) {
		return
	}
	// The folder is in error: its root or marker is missing, or the disk
	// fails. Once that is over, a full scan finds what was missed.
	r.log.Info("scan failed", "err", result.err)
	now := time.Now()
	if errors.Is(result.err, config.ErrMarkerMissing) && r.mend() {
		s.full, s.fullAt, s.fullFrom = true, now, now
		return
	}
	s.full, s.fullAt, s.fullFrom = true, now.Add(s.retry), now.Add(s.retry)
	s.retry = min(2*s.retry, scanRetryMax)
}

// wait is how long the loop may sleep.
func (r *folderRunner) wait(s *scanState, now time.Time, rescan time.Time, held bool) time.Duration {
	const idle = time.Hour
	next := now.Add(idle)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	earlier(r.in.next())
	switch {
	case !s.full:
		earlier(rescan)
	case !s.running: // what is due is no more due for being due twice
		earlier(s.fullAt)
	}
	if held || s.burst {
		earlier(now.Add(heldPoll))
	}
	return max(time.Until(next), 0)
}
