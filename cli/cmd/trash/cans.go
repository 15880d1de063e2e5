package trash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"time"

	"okteto/cli/attach"
	filesync "okteto/cli/sync"
	"okteto/cli/target"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/internal/contract"
	"okteto/internal/trash"
)

// folderID of the manifest's folder with an index.
func folderID(index int) string { return fmt.Sprintf("%s%d", contract.FolderIDPrefix, index+1) }

// laptop is the trash on this machine.
type laptop struct {
	dir   string
	roots map[string]string // the synchronized folders' paths by their ids
}

func openLaptop(t *target.Target) (can, error) {
	env, err := t.State()
	if err != nil {
		return nil, err
	}
	l := &laptop{dir: filesync.TrashDir(env.Dir), roots: map[string]string{}}
	for i, folder := range t.Dev.Sync.Folders {
		l.roots[folderID(i)] = folder.LocalPath
	}
	return l, nil
}

func (l *laptop) close() {}

func (l *laptop) list(context.Context) ([]trash.Item, error) { return trash.List(l.dir) }

func (l *laptop) restore(_ context.Context, path string, at time.Time) ([]string, error) {
	return trash.Restore(l.dir, l.roots, path, at)
}

// show is the path as it is typed in the working folder.
func (l *laptop) show(item trash.Item) string {
	root, known := l.roots[item.Folder]
	if !known { // a folder that the manifest has no more
		return item.Path
	}
	path := filepath.Join(root, item.Path)
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// pod is the trash in the container.
type pod struct {
	trash.Remote
	session *attach.Session
}

func openPod(ctx context.Context, t *target.Target) (can, error) {
	session, err := attach.Open(ctx, t, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	p := &pod{trash.Remote{Dir: contract.TrashDir, Roots: map[string]string{}}, session}
	for i, folder := range t.Dev.Sync.Folders {
		p.Roots[folderID(i)] = path.Clean(folder.RemotePath)
	}
	return p, nil
}

func (p *pod) close() { p.session.Close() }

func (p *pod) list(ctx context.Context) (items []trash.Item, err error) {
	err = p.ask(ctx, "list the container's trash", func(rw io.ReadWriter) error {
		items, err = p.List(rw)
		return err
	})
	return items, err
}

func (p *pod) restore(ctx context.Context, path string, at time.Time) (restored []string, err error) {
	err = p.ask(ctx, "restore "+path, func(rw io.ReadWriter) error {
		restored, err = p.Restore(rw, path, at)
		return err
	})
	return restored, err
}

// ask talks to the agent that has the trash.
func (p *pod) ask(ctx context.Context, what string, talk func(io.ReadWriter) error) error {
	client, err := p.session.First(ctx)
	if err != nil {
		return err
	}
	err = tunnel.Subsystem(ctx, client.Client, contract.TrashSubsystem, talk)
	switch {
	case err == nil || errors.Is(err, trash.ErrAbsent):
		return err
	case errors.Is(err, tunnel.ErrNoSubsystem):
		return &ui.Problem{
			Summary: "the container's agents do not show its trash", Cause: err,
			Hint: "use the init image of this release, or look with: okteto exec -- ls -R " + contract.TrashDir,
		}
	}
	return &ui.Problem{Summary: "cannot " + what, Cause: err}
}

// show is the path in the container.
func (p *pod) show(item trash.Item) string {
	root, known := p.Roots[item.Folder]
	if !known {
		return item.Path
	}
	return path.Join(root, item.Path)
}
