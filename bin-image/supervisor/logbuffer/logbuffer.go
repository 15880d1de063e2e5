// Package logbuffer keeps a log that nobody reads from stopping those who write it.
// The log of a container is a pipe to its runtime; where that does not read, as on a
// node whose disk is full, a write blocks for ever, and with it whatever logs.
package logbuffer

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Writer takes what is written at once and passes it on when it can be. It is safe
// for concurrent use.
type Writer struct {
	out   io.Writer
	limit int

	mu      sync.Mutex // protects the following
	pending []byte
	lost    int
	closed  bool

	wake chan struct{} // has room for one
	done chan struct{}
}

// New passes on to out and holds up to limit bytes meanwhile. Close ends it.
func New(out io.Writer, limit int) *Writer {
	w := &Writer{out: out, limit: limit, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.pass()
	return w
}

// Write never blocks and never fails: what does not fit is dropped whole, and
// counted.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	if w.closed || len(w.pending)+len(line) > w.limit {
		w.lost++
	} else {
		w.pending = append(w.pending, line...)
	}
	w.mu.Unlock()
	w.signal()
	return len(line), nil
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close passes on what is left, as long as it takes but no longer than limit.
func (w *Writer) Close(limit time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C: // pass hangs in a write; nothing can end that
	}
}

// pass on until closed.
func (w *Writer) pass() {
	defer close(w.done)
	for range w.wake {
		w.mu.Lock()
		batch, lost, closed := w.pending, w.lost, w.closed
		w.pending, w.lost = nil, 0
		w.mu.Unlock()
		// Nobody can be told that the log cannot be written.
		_, _ = w.out.Write(batch)
		if lost > 0 {
			_, _ = fmt.Fprintf(w.out, "time=%s level=WARN msg=\"the log was not read: lines were lost\" count=%d\n",
				time.Now().Format(time.RFC3339Nano), lost)
		}
		if closed {
			return
		}
	}
}
