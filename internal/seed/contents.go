package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

const (
	// readers read small files ahead, so that the disk and the line are both
	// busy.
	readers = 4
	// readAhead bounds the small files in memory.
	readAhead = 64
)

// loaded is a file that was read ahead.
type loaded struct {
	content []byte
	info    fs.FileInfo // nil: it changed or cannot be read
	err     error
}

// contents sends the missing files in order.
func (w *sender) contents(ctx context.Context, f Folder, entries []entry, a answer, result *Result) error {
	var files []entry
	partials := map[string]*partial{}
	for _, p := range a.Partials {
		if err := p.valid(); err != nil {
			return err
		}
		if int(p.Index) < len(entries) {
			partials[entries[p.Index].Path] = &p
		}
	}
	for _, i := range a.Missing {
		if int(i) >= len(entries) {
			return errors.New("seed: the container asked for what was not offered")
		}
		if e := entries[i]; e.Kind == kindFile {
			files = append(files, e)
			w.progress.TotalBytes += e.Size
		}
	}
	w.progress.TotalFiles += len(files)
	w.report(w.progress)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := readAll(ctx, f.LocalPath, files)
	for _, e := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, ok := <-ahead
		if !ok {
			return ctx.Err()
		}
		if err := w.file(ctx, f, e, got, partials[e.Path], result); err != nil {
			return err
		}
		w.progress.Files++
		w.tell()
	}
	w.report(w.progress)
	return w.flush()
}

// file sends one that was read ahead, or a large one, of which the pod may have
// offered a part.
func (w *sender) file(ctx context.Context, f Folder, e entry, ahead chan loaded, p *partial, result *Result) error {
	if ahead == nil {
		return w.large(ctx, filepath.Join(f.LocalPath, filepath.FromSlash(e.Path)), e, p, result)
	}
	if p != nil {
		return fmt.Errorf("seed: the container offers a part of %.100q, which is small", e.Path)
	}
	return w.small(e, <-ahead, result)
}

// readAll reads small files in parallel and yields them in order; a nil stands
// for a large one. It ends with the context.
func readAll(ctx context.Context, root string, files []entry) <-chan chan loaded {
	order := make(chan chan loaded, readAhead)
	type job struct {
		path string
		out  chan loaded
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for j := range jobs {
				j.out <- read(j.path)
			}
		})
	}
	go func() {
		defer wg.Wait()
		defer close(jobs)
		defer close(order)
		for _, e := range files {
			var out chan loaded
			if e.Size <= smallFile {
				out = make(chan loaded, 1)
				select {
				case jobs <- job{filepath.Join(root, filepath.FromSlash(e.Path)), out}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case order <- out:
			case <-ctx.Done():
				return
			}
		}
	}()
	return order
}

// read a file that must not change meanwhile.
func read(path string) loaded {
	file, err := os.Open(path)
	if err != nil {
		return loaded{err: err}
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return loaded{err: err}
	}
	if before.Size() > smallFile || !before.Mode().IsRegular() {
		return loaded{} // it has changed since it was listed
	}
	content := make([]byte, before.Size())
	if _, err := io.ReadFull(file, content); err != nil {
		return loaded{}
	}
	after, err := file.Stat()
	if err != nil || !unchanged(before, after) {
		return loaded{}
	}
	return loaded{content: content, info: after}
}

func unchanged(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (w *sender) small(e entry, got loaded, result *Result) error {
	if got.err != nil && !errors.Is(got.err, fs.ErrNotExist) {
		result.Unreadable = append(result.Unreadable, Failure{e.Path, got.err.Error()})
	}
	if got.info == nil {
		return w.endFile(false, 0, 0)
	}
	if err := w.putChunk(got.content); err != nil {
		return err
	}
	w.progress.Bytes += int64(len(got.content))
	return w.endFile(true, got.info.ModTime().UnixNano(), uint32(got.info.Mode().Perm()))
}

func (w *sender) large(ctx context.Context, path string, e entry, p *partial, result *Result) error {
	file, before, err := openStat(path)
	var total int64
	if err == nil {
		defer file.Close()
		if p != nil {
			total = p.agreed(ctx, file)
		}
		_, err = file.Seek(total, io.SeekStart)
	}
	if err != nil {
		total = 0
	}
	if p != nil {
		if err := w.putOffset(total); err != nil {
			return err
		}
	}
	if err != nil {
		return w.small(e, loaded{err: err}, result)
	}
	w.progress.TotalBytes -= total
	buffer := make([]byte, contentChunk)
	for {
		n, err := io.ReadFull(file, buffer)
		if err := w.putChunk(buffer[:n]); err != nil {
			return err
		}
		total += int64(n)
		w.progress.Bytes += int64(n)
		w.tell()
		if err != nil {
			break // the end; a failed read shows in the total
		}
	}
	after, err := file.Stat()
	whole := err == nil && unchanged(before, after) && total == after.Size()
	if !whole {
		return w.endFile(false, 0, 0)
	}
	return w.endFile(true, after.ModTime().UnixNano(), uint32(after.Mode().Perm()))
}

func openStat(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
