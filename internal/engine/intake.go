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
	stageUnsure                // changed; the system does not tell when it is closed
	stageOpen                  // being written
	stages                     // how many there are
)

// unsureRest is how long a file rests on systems that do not tell when it is
// closed: longer than the pause between two writes of one save.
const unsureRest = 15 * time.Millisecond

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
}

type waiting struct {
	stage stage
	due   time.Time
	since time.Time // first change that no scan has seen
	at    time.Time // latest change
	tree  bool      // everything below must be scanned
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
}

func newIntake(o WatchOptions) *intake {
	in := &intake{items: map[string]*waiting{}, maxOpen: o.MaxHold}
	in.rest = [stages]time.Duration{
		stageSettling: o.Settle,
		stageRemoved:  o.DeleteHold,
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
	switch c.op {
	case opModified:
		in.move(c.path, item, stageOpen, now)
	case opAttributes:
		if item.stage != stageOpen {
			in.move(c.path, item, stageSettling, now)
		}
	case opChanged:
		in.move(c.path, item, stageUnsure, now)
	case opRemoved:
		in.move(c.path, item, stageRemoved, now)
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
			if again := in.putOff(stage(s), item, now); !again.IsZero() {
				in.queues[s] = append(in.queues[s], entry{path, again})
				continue
			}
			if item.stage == stageOpen {
				in.open--
			}
			delete(in.items, path)
			out = append(out, due{path, item.since, item.at, item.tree, stage(s) == stageRemoved})
		}
	}
	return out
}

// putOff says until when a path whose turn has come must wait longer; zero: no
// longer. A file that has changed since, or is still open, waits until it has
// been quiet, but never longer than maxOpen after its first change.
func (in *intake) putOff(s stage, item *waiting, now time.Time) time.Time {
	if item.due.After(now) {
		if s == stageOpen && now.Sub(item.since) >= in.maxOpen {
			return time.Time{}
		}
		return item.due
	}
	return time.Time{}
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

// reset forgets everything, for a full scan finds it all.
func (in *intake) reset() {
	in.items = map[string]*waiting{}
	in.queues = [stages][]entry{}
	in.open = 0
}
