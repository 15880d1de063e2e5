package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/syncthing/syncthing/lib/db/backend"
	"github.com/syncthing/syncthing/lib/locations"
)

const (
	// roomLeast is what must be free on the database's disk for a write. LevelDB
	// writes tables anew before it removes the old ones, so as much as the database
	// has is added, up to roomMost.
	roomLeast, roomMost = 512 << 10, 16 << 20
	// roomPoll is how often a full disk is looked at again.
	roomPoll = 250 * time.Millisecond
	// writeChunk is how much a transaction takes between two looks.
	writeChunk = 256 << 10
)

// ErrNoRoom is that the database's disk is full.
var ErrNoRoom = fmt.Errorf("the disk of the synchronization's database is full: %w", syscall.ENOSPC)

// room is the database's backend. The library ends the process when a write fails, and
// LevelDB needs to be opened again then. So a write waits as long as there is no room
// for it: nothing is scanned or received meanwhile, the status says why, and all goes
// on once there is. A write that fails all the same, as when somebody else takes the
// rest, ends the engine in order: nothing is written any more, so that the database
// is as it was at one moment.
type room struct {
	backend.Backend
	dir    string
	log    *slog.Logger
	closed error         // what the library takes for a closed database
	stop   chan struct{} // closed when the engine is to stop
	fail   func(error)   // ends the engine

	patience time.Duration // of Close

	waits   atomic.Bool // Serve runs: a write may wait
	problem atomic.Pointer[string]

	mu      sync.Mutex
	ended   error // why nothing is written any more; protected by mu
	stopped bool  // protected by mu
}

func openRoom(path, dataDir string, tuning backend.Tuning, log *slog.Logger) (*room, error) {
	if err := roomAt(dataDir); err != nil {
		return nil, err
	}
	store, err := backend.Open(path, tuning)
	if err != nil {
		return nil, explain(path, err)
	}
	// The library has no name for this error.
	memory := backend.OpenMemory()
	if err := memory.Close(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	_, closed := memory.NewReadTransaction()
	return &room{Backend: store, dir: dataDir, log: log, patience: closePatience, closed: closed, stop: make(chan struct{}), fail: func(error) {}}, nil
}

// roomAt reports whether a database can be written below a folder; the error wraps
// ErrNoRoom.
func roomAt(dataDir string) error {
	usage, err := newBasicFilesystem(dataDir).Usage(".")
	if err != nil || usage.Free >= roomLeast+roomMost {
		return nil // what cannot be told is found out by writing
	}
	need := roomLeast + uint64(min(treeBytes(dataDir), roomMost))
	if usage.Free >= need {
		return nil
	}
	return fmt.Errorf("%w: %s has %d KiB free, and %d KiB are needed; free some space there, and it goes on by itself", ErrNoRoom, dataDir, usage.Free>>10, need>>10)
}

// AwaitRoom returns when there is room for a database below a folder.
func AwaitRoom(ctx context.Context, dataDir string) error {
	for {
		if roomAt(dataDir) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(roomPoll):
		}
	}
}

// treeBytes is the size of the database's files below a folder.
func treeBytes(dataDir string) int64 {
	var total int64
	_ = filepath.WalkDir(filepath.Join(dataDir, locations.LevelDBDir), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// serve has writes wait for room until the context ends, and fail end the engine.
func (r *room) serve(ctx context.Context, fail func(error)) (unserve func() bool) {
	r.mu.Lock()
	r.fail = fail
	r.mu.Unlock()
	r.waits.Store(true)
	return context.AfterFunc(ctx, r.halt)
}

// halt has writes wait no longer.
func (r *room) halt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.stopped = true
		close(r.stop)
	}
}

// full says why writes wait; empty: they do not.
func (r *room) full() string {
	if problem := r.problem.Load(); problem != nil {
		return *problem
	}
	return ""
}

// failure is what a write has met; nil: nothing.
func (r *room) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.ended, r.closed) {
		return nil // it was stopped while it waited
	}
	return r.ended
}

func (r *room) isEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended != nil
}

// end is told of the error that was the last.
func (r *room) end(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = err
		if !errors.Is(err, r.closed) {
			r.log.Error("the synchronization's database cannot be written", "err", err)
			go r.fail(err) // what it ends may be waiting for this write
		}
	}
	return r.closed
}

// admit returns when there is room.
func (r *room) admit() error {
	if r.isEnded() {
		return r.closed
	}
	if !r.waits.Load() {
		return nil
	}
	err := roomAt(r.dir)
	if err == nil {
		return nil
	}
	text := err.Error()
	if r.problem.Swap(&text) == nil {
		r.log.Warn("synchronization waits", "err", err)
	}
	for err != nil {
		select {
		case <-r.stop:
			return r.end(r.closed)
		case <-time.After(roomPoll):
		}
		if r.isEnded() {
			return r.closed
		}
		err = roomAt(r.dir)
	}
	if r.problem.Swap(nil) != nil {
		r.log.Info("synchronization goes on: there is room for its database", "path", r.dir)
	}
	return nil
}

// judge a write's error.
func (r *room) judge(err error) error {
	if err != nil && isDiskOrLock(err) {
		return r.end(err)
	}
	return err
}

// Put implements backend.Writer.
func (r *room) Put(key, value []byte) error {
	if err := r.admit(); err != nil {
		return err
	}
	return r.judge(r.Backend.Put(key, value))
}

// Delete implements backend.Writer.
func (r *room) Delete(key []byte) error {
	if err := r.admit(); err != nil {
		return err
	}
	return r.judge(r.Backend.Delete(key))
}

// closePatience is for transactions that are under way.
const closePatience = 10 * time.Second

// errLeftOpen is that a database cannot be closed.
var errLeftOpen = errors.New("the sync database cannot be closed: the library has left it in use, as it does when what it reads is damaged")

// Close implements backend.Backend. It waits for what uses the database, but not for
// ever for what the library has forgotten after an error: the process must end, so
// that the next one can repair it.
func (r *room) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- r.Backend.Close() }() // ends with the process at the latest
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		r.log.Error("close sync database", "err", errLeftOpen)
		return errLeftOpen
	}
}

// Compact implements backend.Backend. It needs as much room as the database has, and
// can as well be done later.
func (r *room) Compact() error {
	if r.isEnded() || roomAt(r.dir) != nil {
		return nil
	}
	return r.judge(r.Backend.Compact())
}

// NewWriteTransaction implements backend.Backend.
func (r *room) NewWriteTransaction(hooks ...backend.CommitHook) (backend.WriteTransaction, error) {
	inner, err := r.Backend.NewWriteTransaction(hooks...)
	if err != nil {
		return nil, err
	}
	return &roomyTransaction{WriteTransaction: inner, room: r}, nil
}

type roomyTransaction struct {
	backend.WriteTransaction
	room  *room
	since int // bytes since the last look
}

// chunk looks for room when enough has come together that it may be written.
func (t *roomyTransaction) chunk(bytes int) error {
	if t.since += bytes; t.since < writeChunk {
		return nil
	}
	t.since = 0
	return t.room.admit()
}

// Put implements backend.Writer.
func (t *roomyTransaction) Put(key, value []byte) error {
	if err := t.chunk(len(key) + len(value)); err != nil {
		return err
	}
	return t.room.judge(t.WriteTransaction.Put(key, value))
}

// Delete implements backend.Writer.
func (t *roomyTransaction) Delete(key []byte) error {
	if err := t.chunk(len(key)); err != nil {
		return err
	}
	return t.room.judge(t.WriteTransaction.Delete(key))
}

// Checkpoint implements backend.WriteTransaction.
func (t *roomyTransaction) Checkpoint() error {
	if err := t.room.admit(); err != nil {
		return err
	}
	return t.room.judge(t.WriteTransaction.Checkpoint())
}

// Commit implements backend.WriteTransaction.
func (t *roomyTransaction) Commit() error {
	if err := t.room.admit(); err != nil {
		t.Release()
		return err
	}
	return t.room.judge(t.WriteTransaction.Commit())
}
