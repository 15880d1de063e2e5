package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"okteto/cli/forward"
	"okteto/cli/memory"
	"okteto/cli/state"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/cli/workload"
	"okteto/internal/contract"
)

const (
	// undoLimit is how long putting things back may take after a failure.
	undoLimit = 30 * time.Second
	// commandGrace is how long a command in the pod may go on after the user
	// ended `up`; terminals give it five seconds of that.
	commandGrace = 6 * time.Second
)

// up is one run.
type up struct {
	Options
	target workload.Target
	log    *slog.Logger
	env    *state.Env
	keys   keys
	dialer *tunnel.Dialer
	link   *tunnel.Link
	ports  *forward.Manager
	info   Info
	sync   *syncKeeper

	place *place
	// gone ends the run with a reason.
	gone context.CancelCauseFunc
	// activating is set once the cluster may have been changed.
	activating atomic.Bool
	// linked is set once the connections were up for the first time.
	linked atomic.Bool
	// ready is set once everything was up for the first time.
	ready atomic.Bool
	// commanding is set while a command runs that gets the user's signals.
	commanding atomic.Bool
	group      sync.WaitGroup
}

// Run runs `up` until the user ends it, its command does, or the environment is
// gone. The error is an *ui.ExitError when a command ended with another code than
// 0. What fails before the environment is up leaves nothing behind.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	u := &up{Options: o, target: o.Target.Workload(), log: newLogger(nil), place: newPlace()}
	u.applyFlags()
	u.info = Info{
		Context: o.Target.Client.Context, Namespace: u.target.Namespace, Name: u.target.Dev.Name, Command: o.Command,
	}
	if o.Command == nil {
		u.info.Command = u.target.Dev.Argv()
	}
	found, err := u.look(ctx)
	if err != nil {
		return err
	}
	if u.DryRun {
		return u.dryRun(found)
	}
	release, err := u.claim(ctx)
	if err != nil {
		return err
	}
	// One that was interrupted may have begun something: down, the next up, or who
	// takes over and waits for the lock, wants what it has noted.
	defer func() { err = errors.Join(err, release(err != nil && !u.ready.Load() && ctx.Err() == nil)) }()

	life, gone := context.WithCancelCause(context.WithoutCancel(ctx))
	u.gone = gone
	defer context.AfterFunc(ctx, u.interrupt)()
	err = u.live(life, found)
	gone(nil)
	return u.outcome(life, ui.InterruptCode(ctx), err)
}

// interrupt ends the run, but lets a command that got the same signal end first,
// with its own exit code.
func (u *up) interrupt() {
	if u.commanding.Load() {
		time.AfterFunc(commandGrace, func() { u.gone(errInterrupted) })
		return
	}
	u.gone(errInterrupted)
}

// outcome says how the run ended, for the exit code; interrupted is that of a run
// that was told to end before it had done anything for its user.
func (u *up) outcome(life context.Context, interrupted int, err error) error {
	if exit := (*ui.ExitError)(nil); errors.As(err, &exit) {
		return err
	}
	cause := context.Cause(life)
	switch {
	case errors.Is(cause, errInterrupted) && u.ready.Load():
		return nil
	case errors.Is(cause, errInterrupted):
		problem := &ui.Problem{Summary: "interrupted before " + u.env.Name + " was ready", Code: interrupted}
		if u.activating.Load() {
			problem.Hint = "it is in development mode, or on the way there: go on with okteto up,\n" +
				"or leave everything as it was with okteto down"
		}
		return problem
	case errors.Is(cause, errDeactivated), errors.Is(cause, errTakenOver):
		u.Report.Note("Ending: %v", cause)
		return nil
	case cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	}
	return err
}

// claim makes the environment's folder and takes its lock. release gives both
// back; after a failure the folder goes if it was not there before.
func (u *up) claim(ctx context.Context) (release func(failed bool) error, err error) {
	located, err := u.Target.State()
	if err != nil {
		return nil, err
	}
	fresh := !located.Exists()
	if u.env, err = state.Open(located.Namespace, located.Name); err != nil {
		return nil, err
	}
	lock, err := u.acquire(ctx)
	if err != nil {
		if fresh {
			u.env.Prune()
		}
		return nil, err
	}
	log, err := openLog(u.env.Path(contract.LogFile))
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	u.log = newLogger(log)
	u.info.Log = log.Name()
	if u.Logged != nil {
		u.Logged(log)
	}
	u.log.Info("up begins", "pid", os.Getpid(), "version", contract.Version)
	return func(failed bool) error {
		u.log.Info("up ends", "pid", os.Getpid())
		err := errors.Join(lock.Release(), log.Close())
		if failed && fresh {
			err = errors.Join(err, os.RemoveAll(u.env.Dir))
			u.env.Prune()
		}
		return err
	}, nil
}

func (u *up) acquire(ctx context.Context) (*state.Lock, error) {
	lock, err := u.env.Acquire(u.Detached)
	var held *state.HeldError
	if !errors.As(err, &held) {
		return lock, err
	}
	if !u.TakeOver {
		return nil, &ui.Problem{
			Summary: fmt.Sprintf("another okteto up (process %d) runs the environment %s", held.Holder.PID, u.env.Name),
			Hint:    "open a shell in it:   okteto exec\ntake it over:         okteto up --take-over\nend it:               okteto down",
			Cause:   err,
		}
	}
	u.Report.Note("Taking over from process %d", held.Holder.PID)
	if _, err := u.env.Stop(ctx); err != nil {
		return nil, err
	}
	return u.env.Acquire(u.Detached)
}

// maxLog is the size in bytes from which on a log is set aside at the next start.
const maxLog = 4 << 20

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rotate log: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return log, nil
}

// live brings everything up and waits for the end.
func (u *up) live(ctx context.Context, found *found) error {
	u.setState(contract.StateActivating)
	if err := u.prepare(ctx, found); err != nil {
		return err
	}
	u.dialer = tunnel.NewDialer(u.Target.Client.Config, u.Target.Client.Clientset.CoreV1().RESTClient())
	u.link = tunnel.NewLink(tunnel.Options{
		Dial: u.dialPod, Credentials: u.keys.credentials, Silent: u.Target.Client.Reconnect, Log: u.log,
	})
	u.ports = forward.NewManager(u.connect, u.log)
	defer u.ports.Close()
	if err := u.openPorts(ctx, found); err != nil {
		return err
	}
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	linked, unlink := context.WithCancel(ctx)
	defer unlink()
	go func() { defer close(stopped); u.link.Run(linked) }()

	u.sync.start(ctx)
	defer u.sync.stop()
	u.activating.Store(true)
	activation, err := u.activate(ctx)
	if err != nil {
		return u.undo(ctx, nil, err)
	}
	starting, both := errgroup.WithContext(ctx)
	starting.Go(func() error { return u.waitPod(both, activation) })
	starting.Go(func() error { return u.attach(both) })
	if err := starting.Wait(); err != nil {
		return u.undo(ctx, activation, err)
	}
	u.info.Pod = activation.Pod.Name
	container, _, _ := u.place.look()
	u.place.settle(container)
	// Who watches the connection ends before it is taken down.
	ctx, end := context.WithCancel(ctx)
	defer u.group.Wait()
	defer end()
	u.group.Go(func() { u.supervise(ctx, activation) })
	u.group.Go(func() { u.monitor(ctx) })
	u.group.Go(func() { u.watchPID(ctx) })
	u.group.Go(func() { memory.ReturnWhenQuiet(ctx) })
	u.cleanBefore(ctx, found, activation)
	u.ready.Store(true)
	u.setState(contract.StateReady)
	u.Report.Ready(u.info)
	return u.command(ctx)
}

// undo leaves the cluster as it was when an environment did not come up that was
// not there before. An interrupted one stays, for `up` or `down` to go on from.
func (u *up) undo(ctx context.Context, activation *workload.Activation, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u.setState(contract.StateFailed)
	if activation == nil || !activation.Fresh {
		return err
	}
	u.Report.Note("Putting %s back as it was", activation.Original)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if _, undoErr := workload.Deactivate(ctx, u.target, workload.DownOptions{}); undoErr != nil {
		u.Report.Warn("Cannot put it back: %v; run okteto down", undoErr)
	}
	return err
}

func (u *up) setState(s string) {
	if err := u.env.SetState(s); err != nil {
		u.log.Warn("cannot record the state", "err", err)
	}
}

func (u *up) connect(ctx context.Context) (*tunnel.Client, error) { return u.link.Interactive(ctx) }

var errNoPod = errors.New("there is no development pod at the moment")

// dialPod opens a stream to the SSH server of the current pod.
func (u *up) dialPod(ctx context.Context) (net.Conn, error) {
	name := u.place.name()
	if name == "" {
		return nil, errNoPod
	}
	return u.dialer.Dial(ctx, u.target.Namespace, name, u.target.Dev.SSHServerPort)
}
