package trash

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"
)

// Operations of a request.
const (
	opList    = "list"
	opRestore = "restore"
)

// request is all that the laptop sends, as one gob, in which a name may have any
// byte.
type request struct {
	Op string
	// Dir is the trash; the rest is for a restore, as of Restore.
	Dir    string
	Roots  map[string]string
	Path   string
	Before time.Time
}

// response is all that comes back. Err is set when the operation failed, Absent too
// if that was ErrAbsent; what was restored before that is there all the same.
type response struct {
	Items    []Item
	Restored []string
	Absent   bool
	Err      string
}

// Serve does what one request over rw asks for. That it failed, it tells the other
// end; an error is that it cannot.
func Serve(_ context.Context, rw io.ReadWriter) error {
	var q request
	if err := gob.NewDecoder(rw).Decode(&q); err != nil {
		return fmt.Errorf("trash: receive the request: %w", err)
	}
	var r response
	var err error
	switch q.Op {
	case opList:
		r.Items, err = List(q.Dir)
	case opRestore:
		r.Restored, err = Restore(q.Dir, q.Roots, q.Path, q.Before)
	default:
		err = fmt.Errorf("the container's agents do not know the operation %q", q.Op)
	}
	if err != nil {
		r.Err, r.Absent = err.Error(), errors.Is(err, ErrAbsent)
	}
	if err := gob.NewEncoder(rw).Encode(r); err != nil {
		return fmt.Errorf("trash: send the response: %w", err)
	}
	return nil
}

// Remote is a trash at the other end of a stream.
type Remote struct {
	// Dir is where it lies there; Roots are the folders' paths there by id.
	Dir   string
	Roots map[string]string
}

// List is List at the other end of rw. Times are in this machine's zone.
func (t Remote) List(rw io.ReadWriter) ([]Item, error) {
	r, err := ask(rw, request{Op: opList, Dir: t.Dir})
	for i := range r.Items {
		r.Items[i].Time = r.Items[i].Time.Local()
	}
	return r.Items, err
}

// Restore is Restore at the other end of rw.
func (t Remote) Restore(rw io.ReadWriter, path string, at time.Time) ([]string, error) {
	r, err := ask(rw, request{Op: opRestore, Dir: t.Dir, Roots: t.Roots, Path: path, Before: at})
	return r.Restored, err
}

func ask(rw io.ReadWriter, q request) (response, error) {
	var r response
	if err := gob.NewEncoder(rw).Encode(q); err != nil {
		return r, fmt.Errorf("trash: send the request: %w", err)
	}
	if err := gob.NewDecoder(rw).Decode(&r); err != nil {
		return r, fmt.Errorf("trash: receive the response: %w", err)
	}
	switch {
	case r.Absent:
		return r, fmt.Errorf("%s: %w", q.Path, ErrAbsent)
	case r.Err != "":
		return r, fmt.Errorf("in the container: %s", r.Err)
	}
	return r, nil
}
