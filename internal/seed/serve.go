package seed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"okteto/internal/contract"
)

// Serve is the pod's end: it receives folders over rw until all are done.
// Closing rw ends it early; of the files that were not complete only a large
// one stays, under a temporary name, for the next seed to continue.
func Serve(ctx context.Context, rw io.ReadWriter) error {
	s, err := newStream(rw)
	if err != nil {
		return err
	}
	defer s.close()
	var h hello
	if err := s.receive(&h); err != nil {
		return err
	}
	if h.Version != Version {
		return fmt.Errorf("%w: it has %d, we have %d", ErrVersion, h.Version, Version)
	}
	for _, f := range h.Folders {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := &receiver{stream: s, spec: f, resumes: h.Resume, token: rand.Text()}
		work := r.run
		if h.Verify {
			work = r.verify
		}
		if err := work(ctx); err != nil {
			return fmt.Errorf("seed %s: %w", f.Path, err)
		}
	}
	return nil
}

// receiver is the pod's end for one folder.
type receiver struct {
	*stream
	spec    folderSpec
	entries []entry
	outcome Outcome
	trash   *trash
	dirs    map[string]bool // directories that are known to be ones
	fresh   bool            // the root was empty
	seeds   bool            // files are added, and replaced if the laptop's win

	replaced atomic.Int64
	token    string
	names    atomic.Int64

	// resumes is whether the laptop continues partials.
	resumes  bool
	partials map[string][]string // the walk met, by directory and key
	taken    map[uint32]*bigFile // offered, by index
}

func (r *receiver) run(ctx context.Context) error {
	if err := r.receiveManifest(); err != nil {
		return err
	}
	defer r.keepTaken()
	a, err := r.compare(ctx)
	if err != nil {
		return r.send(answer{Err: err.Error()})
	}
	if err := r.send(a); err != nil {
		return err
	}
	var d decision
	if err := r.receive(&d); err != nil {
		return err
	}
	r.setAside(d.Trash)
	if err := r.fill(ctx, a.Missing); err != nil {
		return err
	}
	r.unmark()
	r.tell()
	return r.send(r.outcome)
}

func (r *receiver) receiveManifest() error {
	for last := false; !last; {
		var m manifest
		if err := r.receive(&m); err != nil {
			return err
		}
		for _, e := range m.Entries {
			if err := e.valid(); err != nil {
				return err
			}
		}
		r.entries = append(r.entries, m.Entries...)
		last = m.Last
	}
	return nil
}

// compare finds what the manifest has and the disk lacks, and the other way
// round.
func (r *receiver) compare(ctx context.Context) (answer, error) {
	var a answer
	if !filepath.IsAbs(r.spec.Path) {
		return a, fmt.Errorf("path %q is not absolute", r.spec.Path)
	}
	if err := os.MkdirAll(r.spec.Path, 0o777); err != nil {
		return a, err
	}
	if r.spec.Ignore != nil {
		if err := writeIgnore(r.spec.Path, r.spec.Ignore); err != nil {
			return a, err
		}
	}
	r.trash = newTrash(r.spec.Trash)
	r.dirs = map[string]bool{"": true}
	known := make(map[string]struct{}, len(r.entries))
	for _, e := range r.entries {
		known[e.Path] = struct{}{}
	}
	var err error
	if a.Extra, err = r.extras(ctx, known); err != nil {
		return a, err
	}
	if r.seeds = r.spec.LocalWins || r.mayFill(); !r.seeds {
		_, err := r.takePartials(ctx, nil)
		return a, err
	}
	for i, e := range r.entries {
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if r.missing(e) {
			a.Missing = append(a.Missing, uint32(i))
		}
	}
	if a.Partials, err = r.takePartials(ctx, a.Missing); err != nil {
		return a, err
	}
	return a, r.mark()
}

// unfinished is in a root that was empty until a seed began, which has not
// ended yet.
const unfinished = tempPrefix + "unfinished" + tempSuffix

// mayFill reports whether files may be added to a folder that has been
// synchronized before. Only to one that is new: what an old one lacks was
// deleted there, and the engine knows.
func (r *receiver) mayFill() bool {
	_, err := os.Lstat(filepath.Join(r.spec.Path, unfinished))
	return r.fresh || err == nil
}

func (r *receiver) mark() error {
	if !r.fresh {
		return nil
	}
	return os.WriteFile(filepath.Join(r.spec.Path, unfinished), nil, 0o600)
}

func (r *receiver) unmark() {
	if err := os.Remove(filepath.Join(r.spec.Path, unfinished)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.outcome.fail(unfinished, err)
	}
}

// missing reports whether an entry has to be made or replaced.
func (r *receiver) missing(e entry) bool {
	if r.fresh {
		return true
	}
	info, err := os.Lstat(r.path(e.Path))
	if err != nil {
		return true
	}
	if !r.spec.LocalWins {
		// What is there is for the engine to compare: it knows both sides'
		// history.
		return false
	}
	switch e.Kind {
	case kindDir:
		return !info.IsDir() || uint32(info.Mode().Perm()) != e.Mode
	case kindSymlink:
		target, err := os.Readlink(r.path(e.Path))
		return err != nil || target != e.Target
	}
	return !info.Mode().IsRegular() || info.Size() != e.Size || uint32(info.Mode().Perm()) != e.Mode || !sameTime(e.Time, info.ModTime().UnixNano())
}

func (r *receiver) path(name string) string {
	return filepath.Join(r.spec.Path, filepath.FromSlash(name))
}

// extras walks the pod's folder for what the laptop does not have. It leaves
// alone what is another file system: a volume mounted inside.
func (r *receiver) extras(ctx context.Context, known map[string]struct{}) ([]extra, error) {
	var out []extra
	r.fresh = true
	device := deviceOf(r.spec.Path)
	err := filepath.WalkDir(r.spec.Path, func(full string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if full == r.spec.Path {
			return err
		}
		rel, relErr := filepath.Rel(r.spec.Path, full)
		if relErr != nil {
			return relErr
		}
		name := filepath.ToSlash(rel)
		if internalNames[name] || isTemporary(d.Name()) {
			if d.Type().IsRegular() {
				r.notePartial(full, name)
			}
			return skipDir(d, true)
		}
		r.fresh = false
		if err != nil || (d.IsDir() && deviceOf(full) != device) {
			return skipDir(d, true)
		}
		if _, ok := known[name]; !ok {
			out = append(out, extra{name, d.IsDir()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// setAside moves to the trash what the laptop decided on: files, then the
// directories that are empty now.
func (r *receiver) setAside(items []extra) {
	known := map[string]bool{}
	for _, e := range items {
		if err := (entry{Path: e.Path, Kind: kindFile}).valid(); err != nil {
			r.outcome.fail(e.Path, err)
			continue
		}
		if e.Dir {
			known[e.Path] = true
			continue
		}
		if err := r.trash.take(r.spec.Path, e.Path); err != nil {
			r.outcome.fail(e.Path, err)
			continue
		}
		r.outcome.Trashed++
	}
	for i := len(items) - 1; i >= 0; i-- { // children come after parents in a walk
		if items[i].Dir && known[items[i].Path] {
			_ = os.Remove(r.path(items[i].Path)) // not empty: it holds what is ignored
		}
	}
}

func writeIgnore(root string, content []byte) error {
	path := filepath.Join(root, contract.IgnoreFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	temp := filepath.Join(root, tempPrefix+"ignore"+tempSuffix)
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
