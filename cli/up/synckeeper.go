package up

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"okteto/cli/seed"
	filesync "okteto/cli/sync"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

const (
	// restartPause bounds how often a daemon that does not stay up is started.
	restartPause = 2 * time.Second
	stopLimit    = 12 * time.Second
	// settleLimit is as long as a pod has to end.
	settleLimit = 5 * time.Second
)

// syncKeeper owns the synchronization daemon: it starts it, starts it again when
// it dies, and points it at the pod after each reconnection.
type syncKeeper struct {
	u       *up
	folders []filesync.Folder
	peer    string // host:port that leads to the pod's daemon
	api     string

	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // protects the following
	daemon *filesync.Daemon
	err    error // why the last start failed
	// open is the connection over which the daemons may talk: after the seed.
	open *tunnel.Client
	// seeding is the progress of a seed, nil while there is none.
	seeding *seed.Progress
	changed chan struct{} // closed and replaced when any of these changes
}

func newSyncKeeper(u *up, folders []filesync.Folder) *syncKeeper {
	return &syncKeeper{u: u, folders: folders, changed: make(chan struct{})}
}

func (k *syncKeeper) openPorts() (err error) {
	if k.peer, err = k.u.listenBulk(contract.SyncthingPort, k.whenOpen); err != nil {
		return err
	}
	k.api, err = k.u.listenBulk(contract.SyncthingGUIPort, k.u.link.Bulk)
	return err
}

// start begins while the pod still starts: the daemon looks at the laptop's files
// meanwhile.
func (k *syncKeeper) start(ctx context.Context) {
	ctx, k.cancel = context.WithCancel(ctx)
	k.done = make(chan struct{})
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
}

// settle waits until what was saved last in a pod that goes is on the laptop, as far
// as that can still be had.
func (u *up) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := filesync.Wait(ctx, u.env.Dir); err != nil {
		u.log.Info("the end of synchronization", "err", err)
	}
}

func (k *syncKeeper) stop() {
	k.cancel()
	<-k.done
}

func (k *syncKeeper) run(ctx context.Context) {
	reset := k.u.Reset
	for ctx.Err() == nil {
		start := time.Now()
		daemon, err := filesync.Start(ctx, k.options(reset))
		k.set(daemon, err)
		if err == nil {
			reset = false
			k.follow(ctx, daemon)
			if err = daemon.Err(); err != nil && ctx.Err() == nil {
				k.u.Report.Warn("File synchronization ended and is started again: %v", err)
			}
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
			if err := daemon.Stop(limited); err != nil {
				k.u.log.Warn("cannot stop synchronization", "err", err)
			}
			cancel()
		} else if ctx.Err() == nil {
			k.u.log.Error("cannot start synchronization", "err", err)
		}
		k.set(nil, err)
		if time.Since(start) < restartPause {
			select {
			case <-ctx.Done():
			case <-time.After(restartPause):
			}
		}
	}
}

func (k *syncKeeper) options(reset bool) filesync.Options {
	settings := k.u.target.Dev.Sync
	return filesync.Options{
		Home: k.u.env.Dir, Identity: k.u.keys.environment, Folders: k.folders,
		PeerAddress: k.peer, RemoteAPIAddress: k.api,
		Compression: settings.Compression, RescanInterval: time.Duration(settings.RescanInterval) * time.Second,
		Reset: reset, Log: k.u.log.With("service", "sync"),
	}
}

// follow seeds the pod and lets the daemons talk whenever there is a new
// connection, until the laptop's daemon ends.
func (k *syncKeeper) follow(ctx context.Context, daemon *filesync.Daemon) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for {
			client, err := k.u.link.Bulk(ctx)
			if err != nil {
				return
			}
			k.seed(ctx, daemon, client)
			k.change(func() { k.open = client })
			if err := daemon.Reconnect(ctx, k.peer); err != nil && ctx.Err() == nil {
				k.u.log.Warn("cannot point synchronization at the pod", "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-client.Done():
			}
		}
	}()
	select {
	case <-ctx.Done():
	case <-daemon.Done():
	}
	cancel()
	<-followed
}

// seed fills a container that is new in one stream, which takes a fraction of the
// time that the engine does. Where that fails the engine does it all.
func (k *syncKeeper) seed(ctx context.Context, daemon *filesync.Daemon, client *tunnel.Client) {
	container, seeded := k.u.place.runs()
	if seeded {
		return
	}
	var folders []seed.Folder
	for _, f := range k.folders {
		folders = append(folders, seed.Folder(f))
	}
	results, err := seed.Run(ctx, client.Client, seed.Options{
		Folders: folders, LocalWins: daemon.First(),
		Report: func(p seed.Progress) { k.change(func() { k.seeding = &p }) },
	})
	k.change(func() { k.seeding = nil })
	switch {
	case ctx.Err() != nil || client.Err() != nil:
		return
	case errors.Is(err, seed.ErrUnsupported):
		k.u.log.Info("the pod cannot be seeded")
	case err != nil:
		k.u.log.Warn("cannot seed the pod", "err", err)
	}
	k.u.place.seed(container)
	for _, r := range results {
		k.u.log.Info("seeded", "path", r.Folder.LocalPath, "files", r.Files, "bytes", r.Bytes, "replaced", r.Replaced, "trashed", r.Trashed, "failed", r.FailedCount)
		if r.Replaced+r.Trashed > 0 {
			k.u.Report.Note("In %s the pod had %d other files and %d besides; they are in its trash: okteto trash list --pod",
				r.Folder.RemotePath, r.Replaced, r.Trashed)
		}
	}
}

// whenOpen returns the connection for bulk data once the daemons may talk over it.
func (k *syncKeeper) whenOpen(ctx context.Context) (*tunnel.Client, error) {
	for {
		client, err := k.u.link.Bulk(ctx)
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		open, changed := k.open, k.changed
		k.mu.Unlock()
		if open == client {
			return client, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-client.Done():
		case <-changed:
		}
	}
}

func (k *syncKeeper) set(daemon *filesync.Daemon, err error) {
	k.change(func() { k.daemon, k.err = daemon, err })
}

func (k *syncKeeper) change(set func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	set()
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *syncKeeper) get() (daemon *filesync.Daemon, changed <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.daemon, k.changed, k.err
}

// wait reports how far both sides are and returns when both sides are equal, or all that can be is. failFast also
// returns when the daemon cannot be started.
func (k *syncKeeper) wait(ctx context.Context, failFast bool, report func(string)) error {
	for {
		daemon, changed, err := k.get()
		if daemon != nil {
			// A seed may take longer than the daemon would wait for the pod.
			if err := k.waitOpen(ctx, report); err != nil {
				return err
			}
			err := daemon.WaitSynced(ctx, func(p filesync.Progress) { report(progressLine(p)) })
			if err == nil || ctx.Err() != nil {
				return err
			}
			var blocked *filesync.BlockedError
			if errors.As(err, &blocked) {
				k.u.Report.Warn("%v", blocked)
				return nil
			}
			if failFast && daemon.Err() == nil {
				return syncProblem(err, k.u.info.Log)
			}
		} else if err != nil && failFast {
			return syncProblem(err, k.u.info.Log)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-time.After(restartPause):
		}
	}
}

// waitOpen waits for the end of a seed and reports it.
func (k *syncKeeper) waitOpen(ctx context.Context, report func(string)) error {
	for {
		k.mu.Lock()
		open, seeding, daemon, changed := k.open, k.seeding, k.daemon, k.changed
		k.mu.Unlock()
		if daemon == nil || (open != nil && open.Err() == nil) {
			return nil
		}
		if seeding != nil && report != nil {
			report(seedLine(*seeding))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

func syncProblem(err error, log string) error {
	return &ui.Problem{
		Summary: "file synchronization does not work", Cause: err,
		Hint: "the log is " + log + "; okteto up --reset begins anew",
	}
}

func seedLine(p seed.Progress) string {
	if p.TotalFiles == 0 {
		return "comparing files"
	}
	line := fmt.Sprintf("%d of %d files, %s of %s", p.Files, p.TotalFiles, ui.Bytes(p.Bytes), ui.Bytes(p.TotalBytes))
	return line + pace(p.Rate, p.ETA)
}

func pace(rate float64, eta time.Duration) (text string) {
	if rate > 0 {
		text = fmt.Sprintf(", %s/s", ui.Bytes(int64(rate)))
	}
	if eta > time.Second {
		text += fmt.Sprintf(", %s to go", eta.Round(time.Second))
	}
	return text
}

func progressLine(p filesync.Progress) string {
	switch {
	case !p.Connected:
		return "connecting"
	case p.Scanning && p.NeedItems == 0:
		return "looking at local files"
	}
	line := fmt.Sprintf("%d of %d items, %s left", p.Items-p.NeedItems, p.Items, ui.Bytes(p.NeedBytes))
	return line + pace(p.Rate, p.ETA)
}
