package seed

import (
	"io/fs"
	"os"

	"okteto/internal/seeded"
)

// tell the engine what is here as the laptop had it: what has been written, and what a
// seed before that broke off had.
func (r *receiver) tell() {
	if !r.seeds {
		return
	}
	err := seeded.Write(r.spec.Path, func(yield func(seeded.Item) bool) {
		for _, e := range r.entries {
			if item, ok := r.asSent(e); ok && !yield(item) {
				return
			}
		}
	})
	if err != nil {
		// Without the list what the laptop changes just now may get a copy beside it.
		r.outcome.fail(seeded.Name, err)
	}
}

// asSent is an entry as it is on the disk; false if that is not what the laptop has.
func (r *receiver) asSent(e entry) (seeded.Item, bool) {
	info, err := os.Lstat(r.path(e.Path))
	if err != nil {
		return seeded.Item{}, false
	}
	item := seeded.Item{Path: e.Path, Mode: info.Mode()}
	switch e.Kind {
	case kindDir:
		return item, info.IsDir()
	case kindSymlink:
		target, err := os.Readlink(r.path(e.Path))
		return item, info.Mode().Type() == fs.ModeSymlink && err == nil && target == e.Target
	}
	item.Size, item.Time = info.Size(), info.ModTime().UnixNano()
	return item, info.Mode().IsRegular() && info.Size() == e.Size && uint32(info.Mode().Perm()) == e.Mode && sameTime(e.Time, item.Time)
}
