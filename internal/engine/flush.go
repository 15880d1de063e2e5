package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/protocol"
)

// A canary is a file that only the watcher sees: its name is one that is never
// synchronized. The system reports changes in order, so when the canary is seen,
// all that was saved before it has been.
const (
	canaryPrefix = ".syncthing.okteto-canary-"
	canarySuffix = ".tmp"
	// canaryPatience with a watcher; then it is taken for dead and the folder
	// is scanned as a whole.
	canaryPatience = 2 * time.Second
)

func isCanary(path string) bool {
	return strings.HasPrefix(path, canaryPrefix) && strings.HasSuffix(path, canarySuffix)
}

// flushRequest asks scanLoop to scan what it has, and to say when that is done.
type flushRequest struct {
	done chan error
}

// Flush makes sure that every change made on disk before the call is in the
// database, and on its way to the peer, when it returns. Files that are still
// being written are not waited for. folder is empty for all.
func (e *Engine) Flush(ctx context.Context, folder string) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.started:
	}
	for _, id := range e.order {
		if folder != "" && id != folder {
			continue
		}
		if err := e.folders[id].flush(ctx); err != nil && !errors.Is(err, model.ErrFolderPaused) {
			return fmt.Errorf("scan %s: %w", id, err)
		}
	}
	return nil
}

func (r *folderRunner) flush(ctx context.Context) error {
	if r.watchState().Mode != "events" || !r.probe(ctx) {
		if err := r.scanAll(ctx); err != nil {
			return err
		}
	}
	return r.scannedAll(ctx)
}

// confirmed returns when the guard has decided about what the latest scan found
// gone, and what it let pass is in the database.
func (r *folderRunner) confirmed(ctx context.Context) error {
	if r.gate == nil || !r.gate.holds() {
		return nil
	}
	return r.scannedAll(ctx)
}

// scannedAll returns when scanLoop has nothing to scan.
func (r *folderRunner) scannedAll(ctx context.Context) error {
	request := flushRequest{done: make(chan error, 1)}
	select {
	case r.flushes <- request:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-request.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// probe reports whether the watcher works: it sees a canary. By then it has seen
// everything that was saved before.
func (r *folderRunner) probe(ctx context.Context) bool {
	file, err := os.CreateTemp(r.f.Path, canaryPrefix+"*"+canarySuffix)
	if err != nil {
		return false
	}
	defer os.Remove(file.Name())
	name := filepath.Base(file.Name())
	seen := make(chan struct{})
	r.canaries.Store(name, seen)
	defer r.canaries.Delete(name)
	if err := file.Close(); err != nil { // the watcher reports it now
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, canaryPatience)
	defer cancel()
	select {
	case <-seen:
		return true
	case <-ctx.Done():
		return false
	}
}

// canarySeen is told by scanLoop.
func (r *folderRunner) canarySeen(name string) {
	if seen, ok := r.canaries.LoadAndDelete(name); ok {
		close(seen.(chan struct{}))
	}
}

// Settle returns when what is in the database now is in place on both sides:
// here what the peer is known to have, there what we have. Before that the
// peer's index must have reached peerSequence; 0: it need not. Changes made
// later are not waited for.
func (e *Engine) Settle(ctx context.Context, folder string, peerSequence int64) error {
	sub := e.events.Subscribe(events.RemoteIndexUpdated | events.LocalIndexUpdated)
	defer sub.Unsubscribe()
	for _, peer := range e.peers() {
		if err := e.await(ctx, sub, func() (bool, error) {
			snap, err := e.model.DBSnapshot(folder)
			if err != nil {
				return false, err
			}
			defer snap.Release()
			return snap.Sequence(peer) >= peerSequence, nil
		}); err != nil {
			return fmt.Errorf("wait for the other side's index of %s: %w", folder, err)
		}
		for _, device := range []protocol.DeviceID{peer, protocol.LocalDeviceID} {
			if err := e.settle(ctx, sub, folder, device); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drain returns when every change made here before the call is in place on the other
// side, or at once if that is not connected.
func (e *Engine) Drain(ctx context.Context) error {
	if !e.connected() {
		return nil
	}
	if err := e.Flush(ctx, ""); err != nil {
		return err
	}
	sub := e.events.Subscribe(events.RemoteIndexUpdated)
	defer sub.Unsubscribe()
	for _, id := range e.order {
		if e.halts.get(id) != "" {
			continue // it waits for a decision
		}
		for _, peer := range e.peers() {
			if err := e.settle(ctx, sub, id, peer); err != nil {
				return err
			}
		}
	}
	return nil
}

// UnsettledError names what was not in place in time.
type UnsettledError struct {
	Folder string
	// Here: this side lacks it; else the other side does.
	Here  bool
	Items []string
	Err   error
}

func (e *UnsettledError) Error() string {
	side := "on the other side"
	if e.Here {
		side = "on this side"
	}
	return fmt.Sprintf("%s: %d items are not in place %s, such as %s: %v", e.Folder, len(e.Items), side, e.Items[0], e.Err)
}

func (e *UnsettledError) Unwrap() error { return e.Err }

// settle waits until a device has what it needs now.
func (e *Engine) settle(ctx context.Context, sub events.Subscription, folder string, device protocol.DeviceID) error {
	snap, err := e.model.DBSnapshot(folder)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", folder, err)
	}
	need, emptied := map[string]protocol.Vector{}, map[string]protocol.Vector{}
	snap.WithNeedTruncated(device, func(f protocol.FileInfo) bool {
		if f.IsDeleted() && f.IsDirectory() {
			emptied[f.Name] = f.Version
		} else {
			need[f.Name] = f.Version
		}
		return true
	})
	snap.Release()
	err = e.awaitItems(ctx, sub, folder, device, need)
	if err == nil {
		// A directory that is to be removed may hold files that are ignored, and
		// then it stays. The status names it.
		short, cancel := context.WithTimeout(ctx, emptiedPatience)
		defer cancel()
		_ = e.awaitItems(short, sub, folder, device, emptied)
		return context.Cause(ctx)
	}
	unsettled := &UnsettledError{Folder: folder, Here: device == protocol.LocalDeviceID, Err: err}
	for name := range need {
		unsettled.Items = append(unsettled.Items, name)
	}
	if len(unsettled.Items) == 0 {
		return err
	}
	return unsettled
}

// emptiedPatience with directories that are to be removed, when all else is done.
const emptiedPatience = 2 * time.Second

// awaitItems waits until a device has these versions; it takes out of need what
// the device has.
func (e *Engine) awaitItems(ctx context.Context, sub events.Subscription, folder string, device protocol.DeviceID, need map[string]protocol.Vector) error {
	return e.await(ctx, sub, func() (bool, error) {
		snap, err := e.model.DBSnapshot(folder)
		if err != nil {
			return false, err
		}
		defer snap.Release()
		for name, version := range need {
			if f, ok := snap.Get(device, name); ok && f.Version.GreaterEqual(version) {
				delete(need, name)
			}
		}
		return len(need) == 0, nil
	})
}

// awaitPoll is how often a condition is looked at without an event.
const awaitPoll = 250 * time.Millisecond

func (e *Engine) await(ctx context.Context, sub events.Subscription, condition func() (bool, error)) error {
	for {
		done, err := condition()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-sub.C():
		case <-time.After(awaitPoll):
		}
	}
}
