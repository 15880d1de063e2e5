package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// writers of small files.
const writers = 4

// job is a small file to write, or a big one that has come.
type job struct {
	entry   entry
	content []byte
	big     *bigFile
}

// fill makes the missing items: directories and links from the manifest, files
// from the stream.
func (r *receiver) fill(ctx context.Context, missing []uint32) error {
	w := &fileWriter{r: r, mask: umask()}
	jobs := make(chan job, writers*4)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for j := range jobs {
				if j.big != nil {
					w.end(j.big, j.entry)
				} else {
					w.small(j)
				}
			}
		})
	}
	err := r.feed(ctx, missing, w, jobs)
	close(jobs)
	wg.Wait()
	r.finishDirs(missing)
	r.outcome.Replaced = int(r.replaced.Load())
	return err
}

func (r *receiver) feed(ctx context.Context, missing []uint32, w *fileWriter, jobs chan<- job) error {
	for _, i := range missing {
		e := r.entries[i]
		if e.Kind != kindFile {
			if err := r.make(e, w); err != nil {
				w.fail(e.Path, err)
			}
		}
	}
	for _, i := range missing {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := r.entries[i]
		if e.Kind != kindFile {
			continue
		}
		big, err := r.continued(i)
		if err != nil {
			return err
		}
		if err := r.file(&r.entries[i], big, w, jobs); err != nil {
			return err
		}
	}
	return nil
}

// make a directory or a link.
func (r *receiver) make(e entry, w *fileWriter) error {
	if err := r.parent(e.Path); err != nil {
		return err
	}
	full := r.path(e.Path)
	if e.Kind == kindDir {
		err := os.Mkdir(full, 0o700|fs.FileMode(e.Mode))
		if errors.Is(err, fs.ErrExist) {
			err = r.becomeDir(e.Path, full)
		}
		if err != nil {
			return err
		}
		r.dirs[e.Path] = true
		w.count(func(o *Outcome) { o.Dirs++ })
		return nil
	}
	temp := filepath.Join(filepath.Dir(full), w.tempName())
	if err := os.Symlink(e.Target, temp); err != nil {
		return err
	}
	if err := r.replace(temp, e.Path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	w.count(func(o *Outcome) { o.Links++ })
	return nil
}

// becomeDir makes room for a directory where something else is.
func (r *receiver) becomeDir(name, full string) error {
	info, err := os.Lstat(full)
	if err != nil || info.IsDir() {
		return err
	}
	if err := r.trash.take(r.spec.Path, name); err != nil {
		return err
	}
	return os.Mkdir(full, 0o700)
}

// parent makes sure that the directories above a name are there, and are not
// links that lead elsewhere.
func (r *receiver) parent(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	if r.dirs[dir] {
		return nil
	}
	if err := r.parent(dir); err != nil {
		return err
	}
	full := r.path(dir)
	info, err := os.Lstat(full)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Mkdir(full, 0o777)
	} else if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is in the way", dir)
	}
	if err == nil {
		r.dirs[dir] = true
	}
	return err
}

// finishDirs sets modes at the end: a directory that is read-only could not
// have been filled.
func (r *receiver) finishDirs(missing []uint32) {
	for n := len(missing) - 1; n >= 0; n-- {
		e := r.entries[missing[n]]
		if e.Kind == kindDir && r.dirs[e.Path] {
			if err := os.Chmod(r.path(e.Path), fs.FileMode(e.Mode)); err != nil {
				r.outcome.fail(e.Path, err)
			}
		}
	}
}

// file reads one file from the stream and has it written. A big one may be
// there in part. The item gets the time and mode that the file had when it was read.
func (r *receiver) file(item *entry, big *bigFile, w *fileWriter, jobs chan<- job) error {
	e := *item
	parentErr := r.parent(e.Path)
	var content []byte
	for {
		n, err := r.nextChunk()
		if err != nil {
			r.keepPartial(big, e)
			return err
		}
		if n == 0 {
			break
		}
		if big == nil && len(content)+n > smallFile+contentChunk {
			big = w.begin(e, parentErr)
			big.write(content)
			content = nil
		}
		start := len(content)
		content = append(content, make([]byte, n)...)
		if _, err := io.ReadFull(r.in, content[start:]); err != nil {
			r.keepPartial(big, e)
			return fmt.Errorf("seed: receive: %w", unexpected(err))
		}
		if big != nil {
			big.write(content)
			content = content[:0]
		}
	}
	whole, modified, mode, err := r.verdict()
	if err != nil {
		r.keepPartial(big, e)
		return err
	}
	if !whole {
		big.discard()
		w.count(func(o *Outcome) { o.Changed++ })
		return nil
	}
	e.Time, e.Mode = modified, mode
	item.Time, item.Mode = modified, mode
	switch {
	case parentErr != nil:
		big.discard()
		w.fail(e.Path, parentErr)
	case big != nil:
		jobs <- job{entry: e, big: big}
	default:
		e.Size = int64(len(content))
		item.Size = e.Size
		jobs <- job{entry: e, content: content}
	}
	return nil
}

// fileWriter puts files in place, from several goroutines.
type fileWriter struct {
	r    *receiver
	mask fs.FileMode
	mu   sync.Mutex // protects r.outcome
}

func (w *fileWriter) count(add func(*Outcome)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(&w.r.outcome)
}

func (w *fileWriter) fail(name string, err error) {
	w.count(func(o *Outcome) { o.fail(name, err) })
}

func (w *fileWriter) tempName() string {
	return tempPrefix + w.r.unique() + tempSuffix
}

// unique is in no other name, whichever seed made it: one may be under way in
// this process, and one that was killed leaves names behind.
func (r *receiver) unique() string {
	return r.token + "-" + strconv.FormatInt(r.names.Add(1), 10)
}

func (w *fileWriter) small(j job) {
	if err := w.put(j); err != nil {
		w.fail(j.entry.Path, err)
		return
	}
	w.count(func(o *Outcome) {
		o.Files++
		o.Bytes += j.entry.Size
	})
}

func (w *fileWriter) put(j job) error {
	temp := filepath.Join(filepath.Dir(w.r.path(j.entry.Path)), w.tempName())
	made := fs.FileMode(j.entry.Mode) | 0o200
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, made)
	if err != nil {
		return err
	}
	endsInHole, err := writeSparse(file, j.content)
	if err == nil && endsInHole {
		err = file.Truncate(int64(len(j.content)))
	}
	return w.place(file, temp, made, j.entry, err)
}

// place finishes a temporary file, which was made with a mode and has had err so
// far, and gives it its name.
func (w *fileWriter) place(file *os.File, temp string, made fs.FileMode, e entry, err error) error {
	mode := fs.FileMode(e.Mode)
	if err == nil && made&^w.mask != mode {
		err = file.Chmod(mode)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		modified := time.Unix(0, e.Time)
		err = os.Chtimes(temp, modified, modified)
	}
	if err == nil {
		err = w.r.replace(temp, e.Path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// replace gives a temporary item its name. What was there goes to the trash; in
// a folder that was empty nothing was.
func (r *receiver) replace(temp, name string) error {
	full := r.path(name)
	if !r.fresh {
		if _, err := os.Lstat(full); err == nil {
			if !r.spec.LocalWins {
				return os.Remove(temp) // it has come meanwhile, by the engine
			}
			if err := r.trash.take(r.spec.Path, name); err != nil {
				return err
			}
			r.replaced.Add(1)
		}
	}
	return os.Rename(temp, full)
}
