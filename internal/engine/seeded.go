package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"time"
	"unsafe"

	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/protocol"
	libsync "github.com/syncthing/syncthing/lib/sync"

	"okteto/internal/seeded"
)

// takeSeeded has the database know what a seed brought for what it is: older than
// whatever the peer has, and not a change of this side's own. Otherwise what the peer
// changes between the seed and the first exchange of indexes is a conflict with that,
// what it deletes comes back, and what it renames is there twice.
//
// It is done before a connection is used, so that nothing is announced or received in
// between. A folder without a list of a seed, which is almost always, costs a stat.
func (e *Engine) takeSeeded(ctx context.Context) {
	for _, id := range e.order {
		r := e.folders[id]
		if !seeded.Exists(r.f.Path) {
			continue
		}
		start := time.Now()
		n, err := r.takeSeeded(ctx)
		if err != nil {
			r.log.Warn("what was seeded counts as changed here", "err", err)
			continue
		}
		r.log.Info("seeded files are known", "items", n, "took", time.Since(start).Round(time.Millisecond))
	}
}

// seededBatch is how many items are written to the database at once.
const seededBatch = 500

var errNewer = errors.New("an item is not known yet")

func (r *folderRunner) takeSeeded(ctx context.Context) (int, error) {
	err := seeded.Read(r.f.Path, func(item seeded.Item) error {
		if known, ok, err := r.current(item.Path); err != nil || !ok || known.IsDeleted() {
			return errors.Join(errNewer, err)
		}
		return ctx.Err()
	})
	if errors.Is(err, errNewer) { // the scan of what the watcher has seen is under way
		err = r.scan(ctx, nil)
	}
	if err != nil {
		return 0, err
	}
	set, err := fileSetOf(r.e.model, r.f.ID)
	if err != nil {
		return 0, err
	}
	own, err := shortIDOf(r.e.model)
	if err != nil {
		return 0, err
	}
	taken := 0
	var batch []protocol.FileInfo
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		set.Update(protocol.LocalDeviceID, batch)
		taken += len(batch)
		// What somebody has changed in this very moment has been overwritten.
		var again []string
		for _, f := range batch {
			if r.differs(f.Name) {
				again = append(again, f.Name)
			}
		}
		batch = batch[:0]
		if len(again) > 0 {
			return r.scan(ctx, again)
		}
		return ctx.Err()
	}
	err = seeded.Read(r.f.Path, func(item seeded.Item) error {
		known, ok, err := r.current(item.Path)
		if err != nil || !ok || !isSeeded(known, item, *own) {
			return err
		}
		known.Version = oldest(*own)
		batch = append(batch, known)
		if len(batch) == seededBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = seeded.Remove(r.f.Path)
	}
	return taken, err
}

// oldest is a version that is older than every other: nobody has ever changed it. An
// empty one is too, but the library takes that for a file which nobody may have.
func oldest(own protocol.ShortID) protocol.Vector {
	return protocol.Vector{Counters: []protocol.Counter{{ID: own, Value: 0}}}
}

// isSeeded reports whether what the database has is the item, and nobody but this
// device has ever given it a version.
func isSeeded(known protocol.FileInfo, item seeded.Item, own protocol.ShortID) bool {
	if known.IsDeleted() || known.IsInvalid() || len(known.Version.Counters) != 1 || known.Version.Counters[0].ID != own {
		return false
	}
	switch item.Mode.Type() {
	case 0:
		return known.Type == protocol.FileInfoTypeFile && known.Size == item.Size && known.ModTime().Equal(time.Unix(0, item.Time))
	case fs.ModeDir:
		return known.IsDirectory()
	case fs.ModeSymlink:
		return known.IsSymlink()
	}
	return false
}

// errNoFileSet is that the library keeps its files elsewhere.
var errNoFileSet = errors.New("the library's model has no files")

// fileSetOf is the model's own set of a folder's files. Another one of the same
// database would count its sequence for itself.
func fileSetOf(m model.Model, folder string) (*db.FileSet, error) {
	v := reflect.ValueOf(m)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, errNoFileSet
	}
	files, mutex := v.Elem().FieldByName("folderFiles"), v.Elem().FieldByName("mut")
	if !files.IsValid() || files.Type() != reflect.TypeFor[map[string]*db.FileSet]() ||
		!mutex.IsValid() || mutex.Type() != reflect.TypeFor[libsync.RWMutex]() {
		return nil, errNoFileSet
	}
	mut := *(*libsync.RWMutex)(unsafe.Pointer(mutex.UnsafeAddr()))
	mut.RLock()
	defer mut.RUnlock()
	set := (*(*map[string]*db.FileSet)(unsafe.Pointer(files.UnsafeAddr())))[folder]
	if set == nil {
		return nil, fmt.Errorf("%w of folder %s", errNoFileSet, folder)
	}
	return set, nil
}
