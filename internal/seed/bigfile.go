package seed

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
)

// bigFile is written as it comes. Its methods may be called on nil.
type bigFile struct {
	file  *os.File
	temp  string
	bytes int64
	err   error // the first; the rest of the content is read and dropped
}

// bigMode of a file that is still coming.
const bigMode = 0o600

func (w *fileWriter) begin(e entry, parentErr error) *bigFile {
	b := &bigFile{err: parentErr, temp: filepath.Join(filepath.Dir(w.r.path(e.Path)), w.tempName())}
	if b.err == nil {
		b.file, b.err = os.OpenFile(b.temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, bigMode)
	}
	return b
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
	b.file.Close()
	os.Remove(b.temp)
}

func (w *fileWriter) end(b *bigFile, e entry) {
	if b.err == nil {
		b.err = b.file.Truncate(b.bytes) // a hole at the end
	}
	if b.err != nil {
		b.discard()
		w.fail(e.Path, b.err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.place(b.file, b.temp, bigMode, e, nil); err != nil {
		w.r.outcome.fail(e.Path, err)
		return
	}
	w.r.outcome.Files++
	w.r.outcome.Bytes += b.bytes
}

// hole is the size of pieces that are left out when they are all zeros: a
// common block size.
const hole = 4096

// writeSparse writes content at the file's position and leaves holes where it
// is zero. A hole at the end is not in the file's size yet.
func writeSparse(file *os.File, content []byte) (endsInHole bool, err error) {
	for len(content) > 0 {
		run, zero := zeros(content)
		if zero {
			_, err = file.Seek(int64(run), io.SeekCurrent)
		} else {
			_, err = file.Write(content[:run])
		}
		if err != nil {
			return false, err
		}
		endsInHole, content = zero, content[run:]
	}
	return endsInHole, nil
}

var zeroHole [hole]byte

// zeros finds how much of content, in pieces of hole, is all zeros, or is not.
func zeros(content []byte) (run int, zero bool) {
	if len(content) < hole {
		return len(content), false
	}
	zero = bytes.Equal(content[:hole], zeroHole[:])
	run = hole
	for run+hole <= len(content) && bytes.Equal(content[run:run+hole], zeroHole[:]) == zero {
		run += hole
	}
	if !zero {
		if rest := len(content) - run; rest < hole {
			run = len(content)
		}
	}
	return run, zero
}
