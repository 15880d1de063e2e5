//go:build e2e

package pipeline

import (
	"bytes"
	"sync"
)

// syncBuffer is a buffer that is read while a command writes to it.
type syncBuffer struct {
	mu  sync.Mutex // protects the following
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
