package up

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	filesync "okteto/cli/sync"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

const (
	// restartPause bounds how often a daemon that does not stay up is started.
	restartPause = 2 * time.Second
	stopLimit    = 12 * time.Second
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

	mu      sync.Mutex // protects the following
	daemon  *filesync.Daemon
	err     error         // why the last start failed
	changed chan struct{} // closed and replaced when daemon or err changes
}

func newSyncKeeper(u *up, folders []filesync.Folder) *syncKeeper {
	return &syncKeeper{u: u, folders: folders, changed: make(chan struct{})}
}

func (k *syncKeeper) podOptions() filesync.PodOptions {
	settings := k.u.target.Dev.Sync
	return filesync.PodOptions{
		Identity: k.u.keys.environment, Folders: k.folders, Compression: settings.Compression,
		RescanInterval: time.Duration(settings.RescanInterval) * time.Second,
	}
}

func (k *syncKeeper) openPorts() (err error) {
	if k.peer, err = k.u.listenBulk(contract.SyncthingPort); err != nil {
		return err
	}
	k.api, err = k.u.listenBulk(contract.SyncthingGUIPort)
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

// follow dials the pod's daemon at once whenever there is a new connection, until
// the laptop's daemon ends.
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

func (k *syncKeeper) set(daemon *filesync.Daemon, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.daemon, k.err = daemon, err
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *syncKeeper) get() (*filesync.Daemon, error, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.daemon, k.err, k.changed
}

// wait returns when both sides are equal, or all that can be is. failFast also
// returns when the daemon cannot be started.
func (k *syncKeeper) wait(ctx context.Context, failFast bool, report func(filesync.Progress)) error {
	for {
		daemon, err, changed := k.get()
		if daemon != nil {
			err := daemon.WaitSynced(ctx, report)
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

func syncProblem(err error, log string) error {
	return &ui.Problem{
		Summary: "file synchronization does not work", Cause: err,
		Hint: "the log is " + log + "; okteto up --reset begins anew",
	}
}

func progressLine(p filesync.Progress) string {
	switch {
	case !p.Connected:
		return "connecting"
	case p.Scanning && p.NeedItems == 0:
		return "looking at local files"
	}
	line := fmt.Sprintf("%d of %d files, %s left", p.Items-p.NeedItems, p.Items, ui.Bytes(p.NeedBytes))
	if p.Rate > 0 {
		line += fmt.Sprintf(", %s/s", ui.Bytes(int64(p.Rate)))
	}
	if p.ETA > time.Second {
		line += fmt.Sprintf(", %s to go", p.ETA.Round(time.Second))
	}
	return line
}
