package engine

import (
	"context"
	"errors"
	"fmt"
)

// op is what a watcher saw happen to a path.
type op int

const (
	// opComplete: the file was closed after writing, or moved into
	// place; symlinks and hard links too. Ready at once.
	opComplete op = iota
	// opAttributes: mode or times changed; the content may still be written.
	opAttributes
	// opCreated: a file was made, and is probably being written.
	opCreated
	// opModified: written to, and not closed yet.
	opModified
	// opChanged: changed somehow, on systems that do not tell when a file is
	// closed.
	opChanged
	// opRemoved: removed or moved away.
	opRemoved
	// opNewDir: a directory was made; its content is reported as well.
	opNewDir
	// opTree: a directory came with content that nobody reports.
	opTree
	// opOverflow: events were lost.
	opOverflow
	// opRootGone: the root itself was removed, moved or unmounted.
	opRootGone
)

// change is one observation; path is relative to the root with the system's
// separators, "." for the root.
type change struct {
	path string
	op   op
}

// watchTarget says what to watch, and takes what is seen. Its methods are
// called from one goroutine.
type watchTarget interface {
	// skip reports whether nothing below a directory, or nothing at a path,
	// needs watching.
	skip(path string) bool
	seen(change)
}

// watchSource reports changes below a root until the context ends. It calls
// ready once it has done what it can, with the number of watches and the problem
// that kept it from watching everything, if any.
type watchSource func(ctx context.Context, root string, limit int, target watchTarget, ready watchReady) error

type watchReady func(dirs int, problem error)

// errWatchLimit is wrapped by limitError.
var errWatchLimit = errors.New("not all folders can be watched")

// limitError says which limit of the system keeps us from watching, and what to
// do about it.
type limitError struct {
	kind    string // "watches" or "instances"
	have    int    // the system's limit; 0 if unknown
	reached int    // how many we had when it struck
	fix     string
}

func (e *limitError) Error() string {
	limit := "unknown"
	if e.have > 0 {
		limit = fmt.Sprint(e.have)
	}
	return fmt.Sprintf("%v: the system allows %s inotify %s per user and none is left after our %d; changes are found by scanning instead. Raise it: %s", errWatchLimit, limit, e.kind, e.reached, e.fix)
}

func (e *limitError) Unwrap() error { return errWatchLimit }
