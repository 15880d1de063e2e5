package seed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Difference between the laptop and the pod.
type Difference struct {
	Path string
	// What differs: "only on the laptop", "only in the container", "content",
	// "kind", "mode", "link target", or why it cannot be compared.
	What string
}

const (
	onlyLaptop = "only on the laptop"
	onlyPod    = "only in the container"
)

// hashers that read files at once.
const hashers = 4

// Verify compares the folders with the pod's by content, over rw, and changes
// nothing. The differences are in the order of the folders.
func Verify(ctx context.Context, rw io.ReadWriter, folders []Folder) ([][]Difference, error) {
	s, err := newStream(rw)
	if err != nil {
		return nil, err
	}
	defer s.close()
	h := hello{Version: Version, Verify: true}
	for _, f := range folders {
		h.Folders = append(h.Folders, folderSpec{ID: f.ID, Path: f.RemotePath})
	}
	if err := s.send(h); err != nil {
		return nil, err
	}
	var out [][]Difference
	for _, f := range folders {
		found, err := s.verifyFolder(ctx, f)
		if err != nil {
			return out, fmt.Errorf("%s: %w", f.LocalPath, err)
		}
		out = append(out, found)
	}
	return out, nil
}

func (s *stream) verifyFolder(ctx context.Context, f Folder) ([]Difference, error) {
	var result Result
	entries, err := list(ctx, f, &result)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, u := range result.Unreadable {
		found = append(found, Difference{u.Path, u.Err})
	}
	failed := sums(ctx, f.LocalPath, entries)
	a, err := s.offer(f, entries)
	if err != nil {
		return nil, err
	}
	for _, d := range a.Differ {
		if failed[d.Path] == nil {
			found = append(found, d)
		}
	}
	for name, err := range failed {
		found = append(found, Difference{name, err.Error()})
	}
	for _, e := range decide(f, a.Extra) {
		found = append(found, Difference{e.Path, onlyPod})
	}
	return found, nil
}

// sums fills in the sums of files and returns those that cannot be read.
func sums(ctx context.Context, root string, entries []entry) map[string]error {
	var mu sync.Mutex
	failed := map[string]error{} // protected by mu
	jobs := make(chan *entry)
	var wg sync.WaitGroup
	for range hashers {
		wg.Go(func() {
			for e := range jobs {
				sum, err := sum(filepath.Join(root, filepath.FromSlash(e.Path)))
				if err != nil {
					mu.Lock()
					failed[e.Path] = err
					mu.Unlock()
				}
				e.Sum = sum
			}
		})
	}
	for i := range entries {
		if entries[i].Kind == kindFile && ctx.Err() == nil {
			jobs <- &entries[i]
		}
	}
	close(jobs)
	wg.Wait()
	return failed
}

func sum(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	return hash.Sum(nil), nil
}

// verify is the pod's part.
func (r *receiver) verify(ctx context.Context) error {
	if err := r.receiveManifest(); err != nil {
		return err
	}
	a, err := r.differences(ctx)
	if err != nil {
		a = answer{Err: err.Error()}
	}
	return r.send(a)
}

func (r *receiver) differences(ctx context.Context) (answer, error) {
	var a answer
	if !filepath.IsAbs(r.spec.Path) {
		return a, fmt.Errorf("path %q is not absolute", r.spec.Path)
	}
	known := make(map[string]struct{}, len(r.entries))
	for _, e := range r.entries {
		known[e.Path] = struct{}{}
	}
	var err error
	if a.Extra, err = r.extras(ctx, known); err != nil {
		return a, err
	}
	what := make([]string, len(r.entries))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range hashers {
		wg.Go(func() {
			for i := range jobs {
				what[i] = r.difference(r.entries[i])
			}
		})
	}
	for i := range r.entries {
		if ctx.Err() == nil {
			jobs <- i
		}
	}
	close(jobs)
	wg.Wait()
	for i, w := range what {
		if w != "" {
			a.Differ = append(a.Differ, Difference{r.entries[i].Path, w})
		}
	}
	return a, ctx.Err()
}

// difference in words; empty: none.
func (r *receiver) difference(e entry) string {
	full := r.path(e.Path)
	info, err := os.Lstat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return onlyLaptop
	case err != nil:
		return err.Error()
	case e.Kind == kindSymlink:
		if target, err := os.Readlink(full); err != nil {
			return "kind"
		} else if target != e.Target {
			return "link target"
		}
		return ""
	case info.IsDir() != (e.Kind == kindDir) || (e.Kind == kindFile && !info.Mode().IsRegular()):
		return "kind"
	case e.Kind == kindFile && info.Size() != e.Size:
		return "content"
	case e.Kind == kindFile:
		got, err := sum(full)
		if err != nil {
			return err.Error()
		}
		if !bytes.Equal(got, e.Sum) {
			return "content"
		}
	}
	if uint32(info.Mode().Perm()) != e.Mode {
		return "mode"
	}
	return ""
}
