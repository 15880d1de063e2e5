package files

import (
	"fmt"
	"os"
	"testing"
)

// TestOpenFilesAreBounded shows that a client gets as many handles as it is told,
// then an error, and new ones for those that it closes.
func TestOpenFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := oursOn(t, dir)
	p.id++
	p.send(newPacket(typeExtended, p.id).string("limits@openssh.com"))
	r := reader{b: p.recv()[5:]}
	_, _, _, limit := r.uint64(), r.uint64(), r.uint64(), int(r.uint64())
	if r.bad || limit < 64 {
		t.Fatalf("limit %d", limit)
	}
	file := op{typeOpen, []any{"f", uint32(openRead), uint32(0)}}
	folder := op{typeOpendir, []any{"."}}
	for i := range limit {
		next := file
		if i%2 == 1 {
			next = folder
		}
		if got := p.do(next); got != "handle" {
			t.Fatalf("%d of %d: %s", i, limit, got)
		}
	}
	for _, next := range []op{file, folder} {
		failure := fmt.Sprint("status ", statusFailure)
		if got := p.do(next); got != failure {
			t.Errorf("%v beyond the limit: %s", next, got)
		}
		for _, handle := range []string{"@0", "@1"} {
			if got := p.do(op{typeClose, []any{handle}}); got != "status 0" {
				t.Errorf("close: %s", got)
			}
			if got := p.do(next); got != "handle" {
				t.Errorf("%v after a close: %s", next, got)
			}
			p.handles = append(p.handles[2:], p.handles[:2]...)
		}
	}
}
