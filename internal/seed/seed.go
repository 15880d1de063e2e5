// Package seed fills the pod's folders from the laptop's in one stream, before
// the synchronization proper has compared anything. Small files by the thousand
// cross as fast as the disks take them; the engine then only verifies.
//
// The laptop's end (Send) says what it has; the pod's end (Serve) says what it
// lacks, and what it has besides; the laptop decides what of that goes to the
// pod's trash, and sends the contents. Everything is one zstd stream in each
// direction:
//
//	laptop                                pod
//	hello
//	per folder:
//	  manifest … (path, kind, size,
//	    time, mode, link target)
//	                                      answer (what is missing, what is extra)
//	  decision (what to set aside)
//	  contents of the missing files
//	                                      outcome
//
// Files appear whole, with the time and mode they have on the laptop: they are
// written under a temporary name that the engine ignores, and renamed. A seed
// that breaks off is resumed by another one: what has arrived is in the
// manifest's eyes no longer missing, and of a large file what has come is kept
// as a partial and continued as far as both ends have the same. Ownership is that of the process in the
// pod.
package seed

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Version of the protocol; both ends must have the same.
const Version = 1

// ErrVersion is returned when the other end speaks another version.
var ErrVersion = errors.New("seed: the container's agents are of another version")

// Kinds of entries.
const (
	kindFile    = 'f'
	kindDir     = 'd'
	kindSymlink = 'l'
)

const (
	// manifestChunk bounds the entries of one message.
	manifestChunk = 1000
	// smallFile is the largest file that is handled in memory.
	smallFile = 1 << 20
	// contentChunk bounds the pieces of a large file.
	contentChunk = 256 << 10
	// maxPath and maxChunk bound what the other end can make us allocate.
	maxPath  = 1 << 14
	maxChunk = 4 << 20
	// tempPrefix and tempSuffix make a name that Syncthing never synchronizes.
	tempPrefix = ".syncthing.okteto-seed-"
	tempSuffix = ".tmp"
)

// entry is one item of a manifest. Path has forward slashes and is relative to
// the folder's root.
type entry struct {
	Path   string
	Kind   byte
	Size   int64
	Time   int64 // modification, nanoseconds since the epoch
	Mode   uint32
	Target string
	Sum    []byte // SHA-256 of a file's content, when verifying
}

type hello struct {
	Version int
	// Verify compares by content and changes nothing.
	Verify bool
	// Resume is whether the laptop understands answer.Partials; one of before
	// does not say so.
	Resume  bool
	Folders []folderSpec
}

type folderSpec struct {
	ID, Path string
	// Ignore is written as .stignore; nil: left alone.
	Ignore []byte
	// LocalWins replaces what differs and sets aside what is extra; otherwise
	// only what is missing is added.
	LocalWins bool
	// Trash is where what is replaced or extra goes.
	Trash string
}

type manifest struct {
	Entries []entry
	Last    bool
}

// answer of the pod. Err is set when the folder cannot be seeded at all.
type answer struct {
	Missing []uint32 // indices into the manifest
	Differ  []Difference
	Extra   []extra
	// Partials of missing files. The contents of each begin with the offset, a
	// uvarint, from where on it follows; an end that has none of this sends none.
	Partials []partial
	Err      string
}

type extra struct {
	Path string
	Dir  bool
}

type decision struct {
	Trash []extra
}

// Outcome of a folder's seed, as the pod tells it.
type Outcome struct {
	// Files, Links and Dirs that were made, and Bytes of the files.
	Files, Links, Dirs int
	Bytes              int64
	// Resumed of the Bytes were brought by earlier seeds that broke off.
	Resumed int64
	// Replaced files were different; Trashed items were extra. Both are in the
	// pod's trash.
	Replaced, Trashed int
	// Changed files were being written on the laptop; the engine sends them.
	Changed int
	// Failed items and why; the first maxFailed of FailedCount.
	Failed      []Failure
	FailedCount int
}

// Failure of an item.
type Failure struct{ Path, Err string }

const maxFailed = 20

func (o *Outcome) fail(name string, err error) {
	o.FailedCount++
	if len(o.Failed) < maxFailed {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // the path is in Failure already
		}
		o.Failed = append(o.Failed, Failure{name, err.Error()})
	}
}

// stream is one end of the protocol.
type stream struct {
	out *zstd.Encoder
	enc *gob.Encoder
	in  *bufio.Reader
	dec *gob.Decoder
	z   *zstd.Decoder
}

func newStream(rw io.ReadWriter) (*stream, error) {
	out, err := zstd.NewWriter(rw, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	z, err := zstd.NewReader(rw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	in := bufio.NewReaderSize(z, 64<<10)
	return &stream{out: out, enc: gob.NewEncoder(out), in: in, dec: gob.NewDecoder(in), z: z}, nil
}

func (s *stream) close() { s.z.Close() }

// send one message; it is on its way when send returns.
func (s *stream) send(message any) error {
	if err := s.enc.Encode(message); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	return s.flush()
}

func (s *stream) flush() error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	return nil
}

func (s *stream) receive(message any) error {
	if err := s.dec.Decode(message); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("seed: receive: %w", err)
	}
	return nil
}

// valid refuses entries that would leave the root or cannot be.
func (e entry) valid() error {
	switch {
	case len(e.Path) > maxPath || e.Path == "." || path.Clean(e.Path) != e.Path || !filepath.IsLocal(filepath.FromSlash(e.Path)):
		return fmt.Errorf("seed: name %.100q is not allowed", e.Path)
	case e.Kind != kindFile && e.Kind != kindDir && e.Kind != kindSymlink:
		return fmt.Errorf("seed: %.100q has unknown kind %q", e.Path, e.Kind)
	}
	return nil
}

// sameTime compares times on file systems of different precision: one that
// keeps less has zeros where the other has digits.
func sameTime(a, b int64) bool {
	for _, precision := range []int64{1, int64(time.Microsecond), int64(time.Millisecond), int64(time.Second)} {
		if a == b || (b%precision == 0 && a-a%precision == b) {
			return true
		}
	}
	return false
}

// isTemporary reports whether a name is one that only passes: ours, or the
// engine's (lib/fs/tempname.go).
func isTemporary(name string) bool {
	return strings.HasPrefix(name, ".syncthing.") || strings.HasPrefix(name, "~syncthing~")
}

// internalNames at a root belong to the engine and are never seeded.
var internalNames = map[string]bool{".stfolder": true, ".stignore": true, ".stversions": true}
