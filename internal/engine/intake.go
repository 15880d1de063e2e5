package engine

import (
	"path/filepath"
	"strings"
	"time"
)

// stage of a path between its first change and its scan.
type stage int

const (
	stageSettling stage = iota // complete; rests a moment for what follows at once
	stageRemoved               // gone; rests a moment, since many editors write anew
	stageNewDir                // a new directory; rests until what is made in it is known
	stageUnsure                // changed; the system does not tell when it is closed
	stageOpen                  // being written
	stages                     // how many there are
)

// unsureRest is how long a file rests on systems that do not tell when it is
// closed: longer than the pause between two writes of one save.
const unsureRest = 15 * time.Millisecond

// newDirRest is how long a new directory rests: it can only be scanned with all
// that is in it, and what is made in it at once must be known to be unfinished.
const newDirRest = 16 * time.Millisecond

// intake holds paths back until they are worth scanning: at once for complete
// files, after a rest for the others. It is a plain state machine; its owner
// feeds it observations and asks for what is due. Each stage has one length of
// rest, so the paths of a stage are due in the order they came.
type intake struct {
	rest    [stages]time.Duration
	maxOpen time.Duration
	items   map[string]*waiting
	queues  [stages][]entry
	open    int // items in stageOpen
	// isOpen asks the system whether a file is still open for writing.
	isOpen func(path string) bool
}

type waiting struct {
	stage stage
	due   time.Time
	since time.Time // first change that no scan has seen
	at    time.Time // latest change
	tree  bool      // everything below must be scanned
	fresh bool      // made just now: half of it is worth nothing
	// vanished: it was gone for a moment at least, with what was below.
	vanished bool
	content  bool // more than attributes may have changed
}

type entry struct {
	path string
	due  time.Time
}

// due is a path to scan.
type due struct {
	path      string
	since, at time.Time // first and latest change
	tree      bool
	removed   bool
	newDir    bool
	vanished  bool // gone for a moment at least
	content   bool // more than attributes may have changed
}

func newIntake(o WatchOptions, isOpen func(string) bool) *intake {
	in := &intake{isOpen: isOpen, items: map[string]*waiting{}, maxOpen: o.MaxHold}
	in.rest = [stages]time.Duration{
		stageSettling: o.Settle,
		stageRemoved:  o.DeleteHold,
		stageNewDir:   newDirRest,
		stageUnsure:   unsureRest,
		stageOpen:     o.Quiet,
	}
	return in
}

// add takes an observation.
func (in *intake) add(c change, now time.Time) {
	item, known := in.items[c.path]
	if !known {
		item = &waiting{since: now, stage: -1}
		in.items[c.path] = item
	}
	item.at = now
	item.content = item.content || c.op != opAttributes
	switch c.op {
	case opCreated:
		item.fresh = true
		in.move(c.path, item, stageOpen, now)
	case opModified:
		in.move(c.path, item, stageOpen, now)
	case opAttributes:
		if item.stage != stageOpen {
			in.move(c.path, item, stageSettling, now)
		}
	case opChanged:
		in.move(c.path, item, stageUnsure, now)
	case opRemoved:
		item.vanished = true
		in.move(c.path, item, stageRemoved, now)
	case opNewDir:
		item.vanished = true // whatever had its name before
		in.move(c.path, item, stageNewDir, now)
	case opTree:
		item.tree = true
		in.move(c.path, item, stageSettling, now)
	default:
		in.move(c.path, item, stageSettling, now)
	}
}

func (in *intake) move(path string, item *waiting, to stage, now time.Time) {
	queued := item.stage == to
	if item.stage == stageOpen {
		in.open--
	}
	if to == stageOpen {
		in.open++
	}
	item.stage, item.due = to, now.Add(in.rest[to])
	// A path that is queued for this stage already is put back when its old
	// turn comes: a file that is written without end costs one entry.
	if !queued {
		in.queues[to] = append(in.queues[to], entry{path, item.due})
	}
}

// next is when something will be due; zero: nothing waits.
func (in *intake) next() time.Time {
	var first time.Time
	for s := range in.queues {
		in.dropStale(stage(s))
		if q := in.queues[s]; len(q) > 0 && (first.IsZero() || q[0].due.Before(first)) {
			first = q[0].due
		}
	}
	return first
}

// dropStale removes entries whose path has moved on to another stage.
func (in *intake) dropStale(s stage) {
	q := in.queues[s]
	for len(q) > 0 {
		if item, ok := in.items[q[0].path]; ok && item.stage == s {
			break
		}
		q = q[1:]
	}
	in.queues[s] = q
}

// take removes and returns what is due.
func (in *intake) take(now time.Time) []due {
	var out []due
	for s := range in.queues {
		for {
			in.dropStale(stage(s))
			q := in.queues[s]
			if len(q) == 0 || q[0].due.After(now) {
				break
			}
			in.queues[s] = q[1:]
			path := q[0].path
			item := in.items[path]
			if again := in.putOff(stage(s), path, item, now); !again.IsZero() {
				in.queues[s] = append(in.queues[s], entry{path, again})
				continue
			}
			if item.stage == stageOpen {
				in.open--
			}
			delete(in.items, path)
			out = append(out, due{
				path: path, since: item.since, at: item.at, tree: item.tree,
				removed: stage(s) == stageRemoved, newDir: stage(s) == stageNewDir, vanished: item.vanished, content: item.content,
			})
		}
	}
	return out
}

// Factors for files that were made just now.
const (
	// freshHold times maxOpen is how long such a file may be written.
	freshHold = 30
	// freshQuiet times the rest of stageOpen is how long it must be quiet while
	// it stays open.
	freshQuiet = 5
)

// putOff says until when a path whose turn has come must wait longer; zero: no
// longer. A file that is being written waits until it is closed, or, if that
// takes long, as for logs, until its time is over.
func (in *intake) putOff(s stage, path string, item *waiting, now time.Time) time.Time {
	if s != stageOpen {
		if item.due.After(now) {
			return item.due
		}
		return time.Time{}
	}
	limit := in.maxOpen
	if item.fresh {
		limit *= freshHold
	}
	switch {
	case now.Sub(item.since) >= limit:
		return time.Time{}
	case item.due.After(now):
		return item.due
	case !in.isOpen(path):
		return time.Time{} // closed without our knowing
	case item.fresh && now.Sub(item.at) >= freshQuiet*in.rest[stageOpen]:
		return time.Time{}
	}
	return now.Add(in.rest[stageOpen])
}

// removals are those that rest.
func (in *intake) removals() []due {
	var out []due
	for _, e := range in.queues[stageRemoved] {
		if item, ok := in.items[e.path]; ok && item.stage == stageRemoved {
			out = append(out, due{path: e.path, removed: true, since: item.since, at: item.at})
		}
	}
	return out
}

// hurry makes everything due that is not being written.
func (in *intake) hurry(now time.Time) {
	for s := range in.queues {
		if stage(s) != stageOpen {
			in.queues[s] = nil
		}
	}
	for path, item := range in.items {
		if item.stage != stageOpen {
			item.due = now
			in.queues[item.stage] = append(in.queues[item.stage], entry{path, now})
		}
	}
}

// openBelow reports whether a file at or below path is being written. The whole
// tree is ".".
func (in *intake) openBelow(path string) bool {
	if in.open == 0 {
		return false
	}
	prefix := path + string(filepath.Separator)
	for p, item := range in.items {
		if item.stage == stageOpen && (path == "." || p == path || strings.HasPrefix(p, prefix)) {
			return true
		}
	}
	return false
}

// busyBelow reports whether anything below path waits; it looks at no more than
// busyLimit items, since in a storm something always does.
func (in *intake) busyBelow(path string) bool {
	if len(in.items) > busyLimit {
		return false
	}
	prefix := path + string(filepath.Separator)
	for p := range in.items {
		if p == path || strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

const busyLimit = 256
