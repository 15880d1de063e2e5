package seed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// A large file whose seed broke off stays beside its place as a partial. Its
// name tells which file it is of; what it holds is believed only as far as the
// laptop finds the same sums in its own file.

// partial is offered to the laptop for the missing file Index: Size bytes are
// here, in blocks of Block bytes with the SHA-256 Sums; the last may be shorter.
type partial struct {
	Index uint32
	Size  int64
	Block int64
	Sums  [][]byte
}

const (
	partialPrefix = tempPrefix + "part-"
	// partialKey is the length of the part of the name that is the file's.
	partialKey = 32
	// maxPartials that are taken up in one folder; they are all open.
	maxPartials = 64
	// minBlock and maxBlock bound the blocks that are summed; there are at most
	// maxBlocks unless they would be larger.
	minBlock, maxBlock = 1 << 20, 64 << 20
	maxBlocks          = 1024
)

// partialName is a new name for a partial of a file.
func (r *receiver) partialName(name string) string {
	return partialPrefix + keyOf(path.Base(name)) + "-" + r.unique() + tempSuffix
}

func keyOf(base string) string {
	sum := sha256.Sum256([]byte(base))
	return hex.EncodeToString(sum[:])[:partialKey]
}

// notePartial remembers a partial that the walk met in a directory.
func (r *receiver) notePartial(full, name string) {
	rest, ok := strings.CutPrefix(path.Base(name), partialPrefix)
	if !ok || len(rest) < partialKey {
		return
	}
	key := path.Join(path.Dir(name), rest[:partialKey])
	if r.partials == nil {
		r.partials = map[string][]string{}
	}
	r.partials[key] = append(r.partials[key], full)
}

// takePartials opens those of the missing files, to be offered, and removes the
// others: nobody continues them.
func (r *receiver) takePartials(ctx context.Context, missing []uint32) ([]partial, error) {
	var offers []partial
	r.taken = map[uint32]*bigFile{}
	for _, i := range missing {
		e := r.entries[i]
		if !r.resumes || e.Kind != kindFile || e.Size <= smallFile || len(r.taken) == maxPartials {
			continue
		}
		key := path.Join(path.Dir(e.Path), keyOf(path.Base(e.Path)))
		found := r.partials[key]
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(sizeOf(b), sizeOf(a)) })
		for n, full := range found {
			b, p, err := r.take(ctx, full, e)
			if ctx.Err() != nil {
				b.keep()
				return nil, ctx.Err()
			}
			if err != nil || p.Size == 0 {
				b.discard()
				continue
			}
			p.Index, b.bytes = i, p.Size
			r.taken[i], offers = b, append(offers, p)
			r.partials[key] = slices.Delete(found, n, n+1)
			break
		}
	}
	for _, found := range r.partials {
		for _, full := range found {
			removePartial(full)
		}
	}
	r.partials = nil
	return offers, nil
}

// take opens a partial and sums it. One that another receiver may be writing
// still, whose connection is dead perhaps without its knowing, is copied.
func (r *receiver) take(ctx context.Context, full string, e entry) (*bigFile, partial, error) {
	file, err := openPartial(full)
	if err != nil {
		return nil, partial{}, err
	}
	b := &bigFile{file: file, temp: full}
	var copied io.Writer
	if !ours(file, full) {
		defer file.Close()
		if b = r.createBig(e); b.err != nil {
			return nil, partial{}, b.err
		}
		copied = sparseWriter{b.file}
	}
	p, err := sumBlocks(ctx, file, copied)
	return b, p, err
}

// ours locks a partial that nobody else has. The name must be the file's still:
// who had the lock may have put it in place, or removed it.
func ours(file *os.File, full string) bool {
	if tryLock(file) != nil {
		return false
	}
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(full)
	return err == nil && os.SameFile(open, named)
}

// removePartial that nobody writes.
func removePartial(full string) {
	file, err := openPartial(full)
	if err != nil {
		return
	}
	defer file.Close()
	if ours(file, full) {
		os.Remove(full)
	}
}

func sizeOf(full string) int64 {
	info, err := os.Lstat(full)
	if err != nil {
		return 0
	}
	return info.Size()
}

// sumBlocks of a file as long as it is now, and copy them; nil: not.
func sumBlocks(ctx context.Context, file *os.File, copied io.Writer) (partial, error) {
	info, err := file.Stat()
	if err != nil {
		return partial{}, err
	}
	if !info.Mode().IsRegular() {
		return partial{}, errors.New("not a regular file")
	}
	p := partial{Size: info.Size(), Block: minBlock}
	for p.Block < maxBlock && p.Size/p.Block >= maxBlocks {
		p.Block *= 2
	}
	if copied == nil {
		copied = io.Discard
	}
	buffer := make([]byte, contentChunk)
	for at := int64(0); at < p.Size; at += p.Block {
		if ctx.Err() != nil {
			return partial{}, ctx.Err()
		}
		hash := sha256.New()
		block := io.NewSectionReader(file, at, min(p.Block, p.Size-at))
		n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(hash, copied)}, block, buffer)
		if err != nil {
			return partial{}, err
		}
		if n < block.Size() {
			return partial{}, io.ErrUnexpectedEOF
		}
		p.Sums = append(p.Sums, hash.Sum(nil))
	}
	return p, nil
}

// agreed is how much of a partial is the same in our file.
func (p partial) agreed(ctx context.Context, file *os.File) int64 {
	var same int64
	for _, sum := range p.Sums {
		n := min(p.Block, p.Size-same)
		hash := sha256.New()
		got, err := io.Copy(hash, io.NewSectionReader(file, same, n))
		if err != nil || got < n || ctx.Err() != nil || !bytes.Equal(hash.Sum(nil), sum) {
			break
		}
		same += n
	}
	return same
}

func (p partial) valid() error {
	if p.Size <= 0 || p.Block < minBlock || p.Block > maxBlock || int64(len(p.Sums)) != (p.Size-1)/p.Block+1 {
		return fmt.Errorf("seed: the container offers a partial of %d bytes in %d blocks of %d", p.Size, len(p.Sums), p.Block)
	}
	return nil
}

// putOffset says from where on an offered file follows.
func (s *stream) putOffset(from int64) error {
	if _, err := s.out.Write(binary.AppendUvarint(nil, uint64(from))); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	return nil
}

// continued is the partial of a missing file if the laptop goes on with it.
func (r *receiver) continued(i uint32) (*bigFile, error) {
	b := r.taken[i]
	if b == nil {
		return nil, nil
	}
	from, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, fmt.Errorf("seed: receive: %w", unexpected(err))
	}
	if from > uint64(b.bytes) {
		return nil, fmt.Errorf("seed: the laptop goes on at %d of %d bytes", from, b.bytes)
	}
	delete(r.taken, i)
	if from == 0 {
		b.discard()
		return nil, nil
	}
	b.resume(int64(from))
	return b, nil
}

// keepTaken partials whose turn has not come.
func (r *receiver) keepTaken() {
	for _, b := range r.taken {
		b.keep()
	}
}

// keepPartial of a file whose seed broke off, unless another seed has brought
// the file.
func (r *receiver) keepPartial(b *bigFile, e entry) {
	if info, err := os.Lstat(r.path(e.Path)); err == nil && info.Size() == e.Size && sameTime(e.Time, info.ModTime().UnixNano()) {
		b.discard()
		return
	}
	b.keep()
}

// onlyWriter hides the writer's other methods.
type onlyWriter struct{ io.Writer }

// sparseWriter leaves holes where there are zeros.
type sparseWriter struct{ file *os.File }

func (w sparseWriter) Write(b []byte) (int, error) {
	if _, err := writeSparse(w.file, b); err != nil {
		return 0, err
	}
	return len(b), nil
}
