//go:build !linux

package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/syncthing/notify"
)

// eventBuffer is how many changes may wait; more make one full scan.
const eventBuffer = 8192

// watchTree is this system's watchSource: FSEvents, kqueue or
// ReadDirectoryChangesW, which do not tell when a file was closed.
func watchTree(ctx context.Context, root string, _ int, target watchTarget, ready watchReady) error {
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	events := make(chan notify.EventInfo, eventBuffer)
	skip := func(path string) bool {
		rel, err := filepath.Rel(resolved, path)
		return err == nil && rel != "." && target.skip(rel)
	}
	if err := notify.WatchWithFilter(filepath.Join(resolved, "..."), events, skip, notify.All); err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	defer notify.Stop(events)
	ready(0, nil)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-events:
			if !ok {
				return errors.New("watcher ended")
			}
			if len(events) == cap(events) {
				drain(events)
				target.seen(change{".", opOverflow})
				continue
			}
			rel, err := filepath.Rel(resolved, event.Path())
			if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) || (rel != "." && target.skip(rel)) {
				continue
			}
			target.seen(change{rel, opChanged})
		}
	}
}

func drain(events <-chan notify.EventInfo) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}

// openForWriting cannot be known here.
func openForWriting(string) bool { return false }
