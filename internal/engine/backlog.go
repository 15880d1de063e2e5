package engine

import "time"

// backlog is what waits for a scan. In a storm, half of each batch is the
// oldest and half the newest, so that a save in the middle of a build is not
// behind ten thousand files.
type backlog struct {
	order []string // oldest first; paths no longer in items are stale
	items map[string]due
}

func newBacklog() backlog { return backlog{items: map[string]due{}} }

func (b *backlog) add(d due) {
	if old, ok := b.items[d.path]; ok {
		d.since = old.since
		d.tree, d.vanished = d.tree || old.tree, d.vanished || old.vanished
		d.content = d.content || old.content
	} else {
		b.order = append(b.order, d.path)
	}
	b.items[d.path] = d
}

func (b *backlog) clear() { *b = newBacklog() }

// take removes and returns at most n paths.
func (b *backlog) take(n int) []due {
	var out []due
	if len(b.items) <= n {
		for _, path := range b.order {
			if d, ok := b.items[path]; ok {
				out = append(out, d)
			}
		}
		b.clear()
		return out
	}
	for len(out) < n/2 {
		out = b.pick(out, b.order[0])
		b.order = b.order[1:]
	}
	for len(out) < n {
		last := len(b.order) - 1
		out = b.pick(out, b.order[last])
		b.order = b.order[:last]
	}
	return out
}

func (b *backlog) pick(out []due, path string) []due {
	if d, ok := b.items[path]; ok {
		delete(b.items, path)
		return append(out, d)
	}
	return out
}

// removals are the paths that were removed, oldest first, and when the latest
// was.
func (b *backlog) removals() (removed []due, latest time.Time) {
	for _, path := range b.order {
		d := b.items[path]
		if !d.removed {
			continue
		}
		removed = append(removed, d)
		if d.at.After(latest) {
			latest = d.at
		}
	}
	return removed, latest
}

// takeOthers is take without removals.
func (b *backlog) takeOthers(n int) []due {
	others, removed := newBacklog(), newBacklog()
	for _, path := range b.order {
		if d := b.items[path]; d.removed {
			removed.add(d)
		} else {
			others.add(d)
		}
	}
	out := others.take(n)
	for _, path := range others.order {
		removed.add(others.items[path])
	}
	*b = removed
	return out
}
