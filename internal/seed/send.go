package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Folder to seed.
type Folder struct {
	ID                    string
	LocalPath, RemotePath string
	// Skip says which paths, relative and with the system's separators, are not
	// synchronized; nil: none. skipBelow is whether everything below is skipped
	// as well.
	Skip func(path string) (skip, skipBelow bool)
	// Ignore is the content of the pod's .stignore; nil: left alone.
	Ignore []byte
	// LocalWins replaces what differs in the pod and sets aside what is extra;
	// otherwise only what is missing is added.
	LocalWins bool
	// Trash is the folder in the pod for what is replaced or extra.
	Trash string
}

// Progress of a seed, over all folders so far.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// Result of a folder's seed.
type Result struct {
	Outcome
	// Unchanged items were in the pod already.
	Unchanged int
	// Special files (sockets, pipes, devices) cannot be synchronized.
	Special []string
	// Unreadable files on the laptop, and why.
	Unreadable []Failure
}

// reportPause is how often progress is told at most: a report per small file
// would cost as much as the file.
const reportPause = 50 * time.Millisecond

// sender is the laptop's end.
type sender struct {
	*stream
	report   func(Progress)
	progress Progress
	told     time.Time
}

// tell reports progress, if it is time to.
func (w *sender) tell() {
	if now := time.Now(); now.Sub(w.told) >= reportPause {
		w.told = now
		w.report(w.progress)
	}
}

// Send is the laptop's end: it seeds the folders over rw and returns a result
// for each. It ends early when rw fails, which closing it does.
func Send(ctx context.Context, rw io.ReadWriter, folders []Folder, report func(Progress)) ([]Result, error) {
	s, err := newStream(rw)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if report == nil {
		report = func(Progress) {}
	}
	h := hello{Version: Version, Resume: true}
	for _, f := range folders {
		h.Folders = append(h.Folders, folderSpec{ID: f.ID, Path: f.RemotePath, Ignore: f.Ignore, LocalWins: f.LocalWins, Trash: f.Trash})
	}
	if err := s.send(h); err != nil {
		return nil, err
	}
	w := &sender{stream: s, report: report}
	var results []Result
	for _, f := range folders {
		result, err := w.folder(ctx, f)
		if err != nil {
			return results, fmt.Errorf("%s: %w", f.LocalPath, err)
		}
		results = append(results, result)
	}
	return results, nil
}

func (w *sender) folder(ctx context.Context, f Folder) (Result, error) {
	var result Result
	entries, err := list(ctx, f, &result)
	if err != nil {
		return result, err
	}
	a, err := w.offer(f, entries)
	if err != nil {
		return result, err
	}
	var d decision
	if f.LocalWins {
		d.Trash = decide(f, a.Extra)
	}
	if err := w.send(d); err != nil {
		return result, err
	}
	result.Unchanged = len(entries) - len(a.Missing)
	if err := w.contents(ctx, f, entries, a, &result); err != nil {
		return result, err
	}
	return result, w.receive(&result.Outcome)
}

// offer sends the manifest and receives the pod's answer.
func (s *stream) offer(f Folder, entries []entry) (answer, error) {
	var a answer
	for from := 0; ; from += manifestChunk {
		to := min(from+manifestChunk, len(entries))
		last := to == len(entries)
		if err := s.enc.Encode(manifest{Entries: entries[from:to], Last: last}); err != nil {
			return a, fmt.Errorf("seed: send: %w", err)
		}
		if last {
			break
		}
	}
	if err := s.flush(); err != nil {
		return a, err
	}
	if err := s.receive(&a); err != nil {
		return a, err
	}
	if a.Err != "" {
		return a, fmt.Errorf("seed %s in the container: %s", f.RemotePath, a.Err)
	}
	return a, nil
}

// decide what of the pod's own items goes to its trash: what is ignored stays.
func decide(f Folder, extras []extra) []extra {
	var trash []extra
	for _, e := range extras {
		if f.Skip != nil {
			if skip, _ := f.Skip(filepath.FromSlash(e.Path)); skip {
				continue
			}
		}
		trash = append(trash, e)
	}
	return trash
}

// list walks the laptop's folder.
func list(ctx context.Context, f Folder, result *Result) ([]entry, error) {
	var entries []entry
	err := filepath.WalkDir(f.LocalPath, func(full string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if full == f.LocalPath {
			return err
		}
		rel, relErr := filepath.Rel(f.LocalPath, full)
		if relErr != nil {
			return relErr
		}
		name := filepath.ToSlash(rel)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				result.Unreadable = append(result.Unreadable, Failure{name, err.Error()})
			}
			return nil
		}
		if internalNames[name] || isTemporary(d.Name()) {
			return skipDir(d, true)
		}
		if f.Skip != nil {
			if skip, below := f.Skip(rel); skip {
				return skipDir(d, below)
			}
		}
		e, ok, err := describe(full, name, d)
		switch {
		case err != nil:
			if !errors.Is(err, fs.ErrNotExist) {
				result.Unreadable = append(result.Unreadable, Failure{name, err.Error()})
			}
		case !ok:
			result.Special = append(result.Special, name)
		default:
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("seed: list files: %w", err)
	}
	return entries, nil
}

func skipDir(d fs.DirEntry, below bool) error {
	if d.IsDir() && below {
		return fs.SkipDir
	}
	return nil
}

func describe(full, name string, d fs.DirEntry) (e entry, ok bool, err error) {
	info, err := d.Info()
	if err != nil {
		return e, false, err
	}
	e = entry{Path: name, Mode: uint32(info.Mode().Perm()), Time: info.ModTime().UnixNano()}
	switch {
	case info.IsDir():
		e.Kind = kindDir
	case info.Mode().IsRegular():
		e.Kind, e.Size = kindFile, info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		e.Kind = kindSymlink
		e.Target, err = os.Readlink(full)
	default:
		return e, false, nil
	}
	return e, true, err
}
