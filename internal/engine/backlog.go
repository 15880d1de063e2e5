package engine

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
		d.tree = d.tree || old.tree
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
