package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func testIntake() (*intake, time.Time) {
	closed := func(string) bool { return false }
	return newIntake(WatchOptions{}.withDefaults(), closed), time.Unix(1000, 0)
}

func names(items []due) []string {
	var out []string
	for _, d := range items {
		out = append(out, d.path)
	}
	slices.Sort(out)
	return out
}

func TestIntakeHoldsEachStageForItsTime(t *testing.T) {
	o := WatchOptions{}.withDefaults()
	for _, test := range []struct {
		name string
		ops  []op
		rest time.Duration
	}{
		{"closed", []op{opModified, opComplete}, o.Settle},
		{"attributes", []op{opAttributes}, o.Settle},
		{"removed", []op{opRemoved}, o.DeleteHold},
		{"removed and written anew", []op{opRemoved, opModified, opComplete}, o.Settle},
		{"open", []op{opModified}, o.Quiet},
		{"attributes of an open file", []op{opModified, opAttributes}, o.Quiet},
		{"no word about closing", []op{opChanged}, unsureRest},
		{"new folder", []op{opNewDir}, newDirRest},
	} {
		in, now := testIntake()
		for _, op := range test.ops {
			in.add(change{"f", op}, now)
		}
		if got := in.take(now.Add(test.rest - 1)); len(got) > 0 {
			t.Errorf("%s: due too early", test.name)
		}
		if next := in.next(); !next.Equal(now.Add(test.rest)) {
			t.Errorf("%s: next at %v, want %v", test.name, next.Sub(now), test.rest)
		}
		if got := names(in.take(now.Add(test.rest))); len(got) != 1 {
			t.Errorf("%s: due %v", test.name, got)
		}
		if !in.next().IsZero() || in.open != 0 {
			t.Errorf("%s: something is left", test.name)
		}
	}
}

func TestIntakeWaitsForQuietButNotForEver(t *testing.T) {
	in, start := testIntake()
	o := WatchOptions{}.withDefaults()
	now := start
	for now.Sub(start) < o.MaxHold-o.Quiet {
		in.add(change{"log", opModified}, now)
		if got := in.take(now); len(got) > 0 {
			t.Fatalf("due after %v, while it is written", now.Sub(start))
		}
		now = now.Add(o.Quiet / 3)
	}
	for ; now.Sub(start) < o.MaxHold+o.Quiet; now = now.Add(o.Quiet / 3) {
		in.add(change{"log", opModified}, now)
		if got := in.take(now); len(got) == 1 {
			return
		}
	}
	t.Errorf("a file that is written without end was never due")
}

// A file that is still open is not taken for complete because it is quiet.
func TestIntakeAsksWhetherAFileIsOpen(t *testing.T) {
	o := WatchOptions{}.withDefaults()
	for _, test := range []struct {
		op    op
		after time.Duration // when an open file that nobody writes is taken
	}{
		{opModified, o.MaxHold},
		{opCreated, freshQuiet * o.Quiet},
	} {
		in, start := testIntake()
		in.isOpen = func(string) bool { return true }
		in.add(change{"f", test.op}, start)
		for now := start; ; now = now.Add(o.Quiet / 4) {
			if got := in.take(now); len(got) == 0 {
				if now.Sub(start) > test.after+o.Quiet {
					t.Errorf("op %d: not taken after %v", test.op, now.Sub(start))
					break
				}
				continue
			}
			if now.Sub(start) < test.after {
				t.Errorf("op %d: taken after %v, before %v", test.op, now.Sub(start), test.after)
			}
			break
		}
	}
}

func TestIntakeCostsOneEntryForAFileWrittenWithoutEnd(t *testing.T) {
	in, now := testIntake()
	for i := range 100_000 {
		in.add(change{"log", opModified}, now.Add(time.Duration(i)))
	}
	if n := len(in.queues[stageOpen]); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestOpenBelow(t *testing.T) {
	in, now := testIntake()
	in.add(change{"a/b/c", opModified}, now)
	for path, want := range map[string]bool{".": true, "a": true, "a/b": true, "a/b/c": true, "a/bb": false, "x": false, "a/b/c/d": false} {
		if got := in.openBelow(path); got != want {
			t.Errorf("openBelow(%s) = %v", path, got)
		}
	}
}

func TestBacklogTakesNewestInAStorm(t *testing.T) {
	b := newBacklog()
	for i := range 10_000 {
		b.add(due{path: fmt.Sprint(i)})
	}
	b.add(due{path: "save"})
	batch := b.take(scanBatch)
	if len(batch) != scanBatch || !slices.Contains(names(batch), "save") || !slices.Contains(names(batch), "0") {
		t.Errorf("batch of %d lacks the newest or the oldest", len(batch))
	}
	seen := map[string]bool{}
	for len(batch) > 0 {
		for _, d := range batch {
			if seen[d.path] {
				t.Fatalf("%s twice", d.path)
			}
			seen[d.path] = true
		}
		batch = b.take(scanBatch)
	}
	if len(seen) != 10_001 {
		t.Errorf("%d paths came out", len(seen))
	}
}

func FuzzIntake(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		in, now := testIntake()
		last := map[string]bool{}
		for _, b := range data {
			path := string(rune('a' + b>>5))
			in.add(change{path, op(int(b) % int(opOverflow))}, now)
			last[path] = true
			now = now.Add(time.Duration(b) * time.Millisecond / 8)
			for _, d := range in.take(now) {
				delete(last, d.path)
			}
		}
		for _, d := range in.take(now.Add(time.Hour)) {
			delete(last, d.path)
		}
		if len(last) > 0 || in.open != 0 {
			t.Errorf("never due: %v, open: %d", last, in.open)
		}
	})
}
