package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"okteto/cli/kube"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/cli/workload"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

const (
	// firstPause and lastPause bound the time between attempts to bring the
	// workload back.
	firstPause = 500 * time.Millisecond
	lastPause  = 10 * time.Second
	// pidPeriod is how often the pid file is read: the original CLI tells its
	// older self to end by overwriting it.
	pidPeriod = time.Second
)

// activate puts the workload in development mode.
func (u *up) activate(ctx context.Context) (*workload.Activation, error) {
	if !u.ready.Load() {
		u.setState(contract.StateActivating)
	}
	data, err := SecretData(u.target.Dev, u.keys.environment, u.keys.user.AuthorizedKey)
	if err != nil {
		return nil, err
	}
	u.Report.Step("Activating %s in namespace %s", u.env.Name, u.env.Namespace)
	options := workload.Options{InitImage: initImage(), SecretData: data, Reset: u.Reset && !u.ready.Load()}
	activation, err := workload.Activate(ctx, u.target, options, func(s workload.Step) {
		u.log.Info("workload", "step", s.String())
		u.Report.Update("%s", s)
	})
	if err != nil {
		return nil, u.Target.Explain(err, "activate the development container")
	}
	if activation.Twin != nil {
		for _, warning := range activation.Twin.Warnings {
			u.Report.Warn("%s", warning)
		}
	}
	return activation, nil
}

// waitPod waits for the activation's pod and makes it the current one. The link
// tries to connect meanwhile.
func (u *up) waitPod(ctx context.Context, activation *workload.Activation) error {
	quiet := u.linked.Load
	if !quiet() {
		u.setState(contract.StateStarting)
		u.Report.Step("Starting the development pod")
	}
	last := contract.StateStarting
	pod, err := workload.WaitForPod(ctx, u.target, activation, func(p workload.PodProgress) {
		u.log.Info("pod", "pod", p.Pod, "phase", string(p.Phase), "reason", p.Reason, "message", p.Message)
		if p.Pod != "" && p.Phase != workload.PhaseStarting {
			u.place.start(p.Pod)
			u.link.Retry(false)
		}
		if quiet() {
			return
		}
		if s := string(p.Phase); p.Phase != workload.PhaseRunning && s != last {
			last = s
			u.setState(s)
		}
		if p.Message != "" {
			u.Report.Update("%s", p.Message)
		}
	})
	if err != nil {
		return u.Target.Explain(err, "start the development pod")
	}
	u.log.Info("pod runs", "pod", pod.Name, "node", pod.Node)
	activation.Pod = pod
	old := u.place.run(pod)
	u.link.Retry(old != nil && old.UID != pod.UID)
	return nil
}

// attach waits for the first connection and the first synchronization.
func (u *up) attach(ctx context.Context) error {
	if err := u.waitLink(ctx); err != nil {
		return err
	}
	u.linked.Store(true)
	u.writeSSHConfig()
	u.setState(contract.StateStartingSync)
	u.Report.Step("Synchronizing")
	synchronizing := false
	err := u.sync.wait(ctx, true, func(line string) {
		if !synchronizing {
			synchronizing = true
			u.setState(contract.StateSynchronizing)
		}
		u.Report.Measure("%s", line)
	})
	if err == nil {
		u.log.Info("synchronized")
	}
	return err
}

// waitLink waits for the connections, but not for what will never come.
func (u *up) waitLink(ctx context.Context) error {
	var limit <-chan time.Time // from when the pod runs
	for {
		status, linkChanged := u.link.Status()
		_, _, placeChanged := u.place.look()
		if status.Connected {
			return nil
		}
		if apierrors.IsForbidden(status.Err) || apierrors.IsUnauthorized(status.Err) {
			return u.Target.Client.Explain(status.Err, "forward a port to the development pod")
		}
		pod := u.place.current()
		if pod != nil && limit == nil {
			limit = time.After(u.target.Dev.Timeout.Default)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-linkChanged:
		case <-placeChanged:
		case <-limit:
			if kube.Unreachable(status.Err) {
				return u.Target.Client.Explain(status.Err, "connect to the development pod")
			}
			return &ui.Problem{
				Summary: fmt.Sprintf("cannot connect to the SSH server in pod %s", pod.Name),
				Cause:   status.Err,
				Hint: fmt.Sprintf("look at what the pod says: kubectl logs -n %s %s -c %s",
					u.env.Namespace, pod.Name, pod.Container),
			}
		}
	}
}

// cleanBefore ends what an earlier `up` of the original CLI left running in a pod
// that goes on. Ours leaves nothing but terminals, which it finds again: sessions
// end with their connection.
func (u *up) cleanBefore(ctx context.Context, f *found, activation *workload.Activation) {
	if activation.Fresh || activation.Replaced || f.secret == nil {
		return
	}
	if _, err := identity.FromSecret(f.secret); err == nil {
		return
	}
	pod := u.place.current()
	if pod == nil {
		return
	}
	code, err := u.Target.Client.Exec(ctx, kube.ExecOptions{
		Pod: pod.Name, Container: pod.Container, Command: []string{contract.CleanBinary},
		Streams: ui.Streams{Out: logWriter{u.log}, ErrOut: logWriter{u.log}},
	})
	if err != nil || code != 0 {
		u.log.Warn("cannot clean up after an earlier up", "code", code, "err", err)
	}
}

// supervise follows the workload and its pod, and brings back what goes.
func (u *up) supervise(ctx context.Context, activation *workload.Activation) {
	pause, told := firstPause, map[string]time.Time{}
	for ctx.Err() == nil {
		change, ok := u.nextChange(ctx, activation)
		if !ok {
			continue
		}
		u.log.Info("workload changed", "kind", string(change.Kind), "detail", change.Detail)
		switch change.Kind {
		case workload.Deactivated:
			u.settle(ctx)
			u.gone(errDeactivated)
			return
		case workload.OriginalDeleted:
			u.settle(ctx)
			u.gone(&ui.Problem{
				Summary: fmt.Sprintf("%s is gone, and its development environment with it", activation.Original),
				Detail:  change.Detail,
				Hint:    "deploy it again, then run okteto up",
			})
			return
		}
		u.tell(told, change)
		for ctx.Err() == nil {
			err := u.bringBack(ctx, change, &activation)
			if err == nil {
				pause = firstPause
				break
			}
			if errors.Is(err, workload.ErrDeactivated) && ctx.Err() == nil {
				u.gone(errDeactivated)
				return
			}
			if errors.Is(err, workload.ErrNotFound) && ctx.Err() == nil && !isPodWait(change) {
				u.gone(err)
				return
			}
			if ctx.Err() == nil {
				u.Report.Warn("%v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, lastPause)
			// Whatever it was, from here on the whole is made again.
			change.Kind = workload.TwinGone
		}
	}
}

// quiet is how long the same news is not told again: a controller that fights back
// makes it every second. The log has them all.
const quiet = 5 * time.Minute

func (u *up) tell(told map[string]time.Time, change workload.Change) {
	if last, ok := told[change.Detail]; ok && time.Since(last) < quiet {
		return
	}
	told[change.Detail] = time.Now()
	u.Report.Note("%s", change.Detail)
	if change.Hint != "" {
		u.Report.Note("%s", change.Hint)
	}
}

func isPodWait(c workload.Change) bool {
	return c.Kind == workload.PodGone || c.Kind == workload.ContainerRestarted
}

// nextChange waits for something to happen to the environment.
func (u *up) nextChange(ctx context.Context, activation *workload.Activation) (workload.Change, bool) {
	ctx, cancel := context.WithCancel(ctx)
	changes, err := workload.Watch(ctx, u.target, activation)
	if err != nil {
		cancel()
		u.log.Warn("cannot watch the workload", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(firstPause):
		}
		return workload.Change{}, false
	}
	change, ok := <-changes
	cancel()
	for range changes { // ends with its context
	}
	return change, ok
}

func (u *up) bringBack(ctx context.Context, change workload.Change, activation **workload.Activation) error {
	if isPodWait(change) {
		if change.Kind == workload.PodGone {
			u.place.leave()
		}
		return u.waitPod(ctx, *activation)
	}
	again, err := u.activate(ctx)
	if err != nil {
		return err
	}
	*activation = again
	return u.waitPod(ctx, again)
}

// monitor tells the user and the state file when the connection is lost, and when
// everything is as it should be again.
func (u *up) monitor(ctx context.Context) {
	for ctx.Err() == nil {
		status, linkChanged := u.link.Status()
		container, settled, placeChanged := u.place.look()
		switch {
		case !status.Connected:
			u.reconnected(ctx, status.Err)
			u.setState(contract.StateSynchronizing)
			u.place.settle("")
		case settled || container == "":
			select {
			case <-ctx.Done():
			case <-linkChanged:
			case <-placeChanged:
			}
		default:
			if err := u.sync.wait(ctx, false, func(string) {}); err != nil {
				if ctx.Err() == nil {
					u.Report.Warn("%v", err)
				}
				continue
			}
			u.place.settle(container)
			u.setState(contract.StateReady)
		}
	}
}

// reconnected waits until a lost connection is back.
func (u *up) reconnected(ctx context.Context, why error) {
	lost := time.Now()
	u.log.Warn("connection lost", "err", why)
	u.Report.Warn("Connection to the pod lost, reconnecting …")
	for {
		status, changed := u.link.Status()
		if status.Connected {
			u.Report.Note("Connected again after %s", time.Since(lost).Round(100*time.Millisecond))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// connectSettled is connect for the user's command: in a container that is new
// there is nothing to run before its files are there.
func (u *up) connectSettled(ctx context.Context) (*tunnel.Client, error) {
	for {
		client, err := u.link.Interactive(ctx)
		if err != nil {
			return nil, err
		}
		if err := u.place.waitSettled(ctx, client.Done()); err != nil {
			return nil, err
		}
		if client.Err() == nil {
			return client, nil
		}
	}
}

// watchPID ends the run when the original CLI takes the environment over.
func (u *up) watchPID(ctx context.Context) {
	ticker := time.NewTicker(pidPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if pid := u.env.PID(); pid != 0 && pid != os.Getpid() {
				u.gone(errTakenOver)
				return
			}
		}
	}
}
