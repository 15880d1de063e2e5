package seed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The contents of the missing files follow each other in the manifest's order:
//
//	chunks:  uvarint length, bytes; a length of 0 ends the file
//	verdict: 1: whole, followed by varint time and uvarint mode; 0: the file
//	         changed while it was read, what came is void
const (
	verdictVoid  = 0
	verdictWhole = 1
)

// errTooBig is a chunk beyond what we ever send.
var errTooBig = errors.New("seed: chunk is too big")

func (s *stream) putChunk(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(b)))
	if _, err := s.out.Write(head[:n]); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	if _, err := s.out.Write(b); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	return nil
}

// endFile says whether the file is whole, and what it was when it was read.
func (s *stream) endFile(whole bool, modified int64, mode uint32) error {
	tail := []byte{0, verdictVoid}
	if whole {
		tail[1] = verdictWhole
		tail = binary.AppendVarint(tail, modified)
		tail = binary.AppendUvarint(tail, uint64(mode))
	}
	if _, err := s.out.Write(tail); err != nil {
		return fmt.Errorf("seed: send: %w", err)
	}
	return nil
}

// nextChunk is the length of the next chunk; 0: the file has ended.
func (s *stream) nextChunk() (int, error) {
	n, err := binary.ReadUvarint(s.in)
	if err != nil {
		return 0, fmt.Errorf("seed: receive: %w", unexpected(err))
	}
	if n > maxChunk {
		return 0, errTooBig
	}
	return int(n), nil
}

func (s *stream) verdict() (whole bool, modified int64, mode uint32, err error) {
	v, err := s.in.ReadByte()
	if err != nil {
		return false, 0, 0, fmt.Errorf("seed: receive: %w", unexpected(err))
	}
	if v != verdictWhole {
		return false, 0, 0, nil
	}
	if modified, err = binary.ReadVarint(s.in); err != nil {
		return false, 0, 0, fmt.Errorf("seed: receive: %w", unexpected(err))
	}
	m, err := binary.ReadUvarint(s.in)
	if err != nil {
		return false, 0, 0, fmt.Errorf("seed: receive: %w", unexpected(err))
	}
	return true, modified, uint32(m), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
