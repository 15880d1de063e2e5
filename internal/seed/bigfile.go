package seed

import (
	"io"
	"os"
	"path/filepath"
	"time"
)

// bigFile is written as it comes. Its methods may be called on nil.
type bigFile struct {
	file  *os.File
	temp  string
	bytes int64
	// resumed of the bytes were brought by an earlier seed.
	resumed int64
	err     error // the first; the rest of the content is read and dropped
}

// bigMode of a file that is still coming.
const bigMode = 0o600

func (w *fileWriter) begin(e entry, parentErr error) *bigFile {
	if parentErr != nil {
		return &bigFile{err: parentErr}
	}
	return w.r.createBig(e)
}

// lockTries to make a partial that nobody locked before us: another receiver
// tries the lock of each that it meets. Where there are no locks all fail, for
// everyone, and partials are copied instead of continued.
const lockTries = 5

func (r *receiver) createBig(e entry) *bigFile {
	for try := 1; ; try++ {
		b := &bigFile{temp: filepath.Join(filepath.Dir(r.path(e.Path)), r.partialName(e.Path))}
		b.file, b.err = os.OpenFile(b.temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, bigMode)
		if b.err != nil || try == lockTries || ours(b.file, b.temp) {
			return b
		}
		b.discard()
	}
}

// resume goes on behind what the other end found to be right.
func (b *bigFile) resume(from int64) {
	if b.err = b.file.Truncate(from); b.err == nil {
		_, b.err = b.file.Seek(from, io.SeekStart)
	}
	b.bytes, b.resumed = from, from
}

func (b *bigFile) write(content []byte) {
	if b.err == nil {
		_, b.err = writeSparse(b.file, content)
	}
	b.bytes += int64(len(content))
}

func (b *bigFile) discard() {
	if b == nil || b.file == nil {
		return
	}
	os.Remove(b.temp) // before its lock is gone, so that nobody takes it up
	b.file.Close()
}

// keep what has come for the next seed.
func (b *bigFile) keep() {
	if b == nil || b.file == nil {
		return
	}
	if b.err != nil {
		b.discard()
		return
	}
	b.file.Close()
}

func (w *fileWriter) end(b *bigFile, e entry) {
	err := b.err
	if err == nil {
		err = w.placeBig(b, e)
	}
	if err != nil {
		b.discard()
		w.fail(e.Path, err)
		return
	}
	w.count(func(o *Outcome) {
		o.Files++
		o.Bytes += b.bytes
		o.Resumed += b.resumed
	})
}

// placeBig gives a big file its name. Its content is on the disk before: after a
// crash of the machine a file of the right size and time has the right content.
// It is open, and locked, until it has the name: whoever gets the lock later
// sees that it is no partial any more.
func (w *fileWriter) placeBig(b *bigFile, e entry) error {
	if err := b.file.Truncate(b.bytes); err != nil { // a hole at the end
		return err
	}
	if err := b.file.Sync(); err != nil {
		return err
	}
	if err := b.file.Chmod(os.FileMode(e.Mode)); err != nil {
		return err
	}
	modified := time.Unix(0, e.Time)
	if err := os.Chtimes(b.temp, modified, modified); err != nil {
		return err
	}
	if err := w.r.replace(b.temp, e.Path); err != nil {
		return err
	}
	return b.file.Close()
}
