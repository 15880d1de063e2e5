package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"okteto/internal/engine"
)

// Status of the synchronization, seen from the laptop: Here is the laptop,
// There the pod.
type Status = engine.Status

// Progress of a first synchronization.
type Progress struct {
	// Connected to the pod's end.
	Connected bool
	// Scanning: the laptop's files are still being looked at.
	Scanning bool
	// Items and Bytes that both sides should have, and what is still to be
	// sent and received.
	Items, NeedItems int
	Bytes, NeedBytes int64
	NeedDeletes      int
	// RemoteOnly is how many of the pod's items the laptop does not have, or
	// has differently, and which the laptop's state replaces at a first
	// synchronization; the pod's trash keeps them.
	RemoteOnly int
	// Rate in bytes per second over the last seconds, and what it means for the
	// rest; both 0 when not known.
	Rate float64
	ETA  time.Duration
}

// BlockedError says what keeps both sides from being equal; everything else is
// in place.
type BlockedError struct {
	Folders []engine.FolderStatus
}

func (e *BlockedError) Error() string {
	var lines []string
	for _, f := range e.Folders {
		if f.There.State == "paused" {
			lines = append(lines, fmt.Sprintf("%s: stopped in the container, since most of its files there were gone at once; if that is right, go on with: okteto sync resume", f.Path))
		}
		if f.State == "stopped" {
			lines = append(lines, fmt.Sprintf("%s: stopped, since %s; if that is right, go on with: okteto sync resume", f.Path, f.Error))
		} else if f.Error != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", f.Path, f.Error))
		}
		for _, item := range f.Errors {
			lines = append(lines, fmt.Sprintf("%s/%s: %s", f.Path, item.Path, item.Err))
		}
		if left := f.There.NeedItems + f.There.NeedDeletes; left > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d items cannot be put in place in the container", f.Path, left))
		}
	}
	return "some files are not synchronized:\n  " + strings.Join(lines, "\n  ")
}

const (
	pollMin = 10 * time.Millisecond
	pollMax = 250 * time.Millisecond
	// stallTimeout without any progress while connected means that something
	// is in the way, unless the container may be busy with what it has not yet:
	// it says nothing while it reads a large file or many small ones.
	stallTimeout = 20 * time.Second
	slowestBytes = 10 << 20 // a second
	slowestItems = 1000     // a second
	// connectTimeout for the pod's end to be met.
	connectTimeout = 60 * time.Second
	// reconnectTimeout for it to be met again: a pod that is short of memory or of
	// processors may answer nobody for long, and goes on where it was.
	reconnectTimeout = 5 * time.Minute
)

// errStalled ends a wait that makes no progress.
var errStalled = errors.New("no progress")

// WaitSynced returns when both sides are equal, and reports how far they are
// meanwhile. At an environment's first synchronization the laptop's state wins;
// after that changes go both ways. A *BlockedError names what is in the way
// when all the rest is done.
func (d *Daemon) WaitSynced(ctx context.Context, report func(Progress)) error {
	w := &waiter{d: d, report: report, started: time.Now(), progressed: time.Now()}
	if d.first {
		if err := w.until(ctx, w.overridden); err != nil {
			return err
		}
		for _, f := range d.o.Folders {
			if err := d.client.SetSendOnly(ctx, f.ID, false); err != nil {
				return err
			}
		}
	}
	if err := w.until(ctx, w.equal); err != nil {
		return err
	}
	d.first = false
	return noteSynced(d.o.Home, d.peerID, d.o.Folders)
}

// Status of both sides.
func (d *Daemon) Status(ctx context.Context) (Status, error) { return d.client.Status(ctx) }

// Flush returns when every change made on the laptop before the call is known
// to the engine.
func (d *Daemon) Flush(ctx context.Context) error { return d.client.Flush(ctx, "") }

// waiter polls the daemon until a condition holds.
type waiter struct {
	d          *Daemon
	report     func(Progress)
	started    time.Time
	progressed time.Time // when something last changed
	met        bool      // it was connected
	last       string
	remoteOnly int
	rate       rate
}

func (w *waiter) until(ctx context.Context, condition func(context.Context, Status) (bool, error)) error {
	pause := pollMin
	for {
		s, err := w.d.client.Status(ctx)
		if err != nil {
			select {
			case <-w.d.Done():
				return w.d.Err()
			default:
				return err
			}
		}
		w.note(s)
		done, err := condition(ctx, s)
		if done || err != nil {
			return err
		}
		if err := w.stalled(s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.d.Done():
			return w.d.Err()
		case <-time.After(pause):
			pause = min(pause*3/2, pollMax)
		}
	}
}

// overridden makes the laptop's state the newest until the pod has it. Whatever
// the pod reports meanwhile is overridden again.
func (w *waiter) overridden(ctx context.Context, s Status) (bool, error) {
	if !s.Connected {
		return false, nil
	}
	done := true
	for _, f := range s.Folders {
		if stopped(f) {
			return false, &BlockedError{[]engine.FolderStatus{f}}
		}
		if !f.There.Known || !idle(f) {
			done = false
			continue
		}
		// A send-only folder needs what the peer has beyond or besides it.
		if foreign := f.Here.NeedItems; foreign > 0 {
			w.remoteOnly = max(w.remoteOnly, foreign)
			done = false
			if err := w.d.client.Override(ctx, f.ID); err != nil {
				return false, err
			}
			continue
		}
		done = done && f.There.Done()
	}
	return done, nil
}

func (w *waiter) equal(_ context.Context, s Status) (bool, error) {
	if !s.Connected {
		return false, nil
	}
	for _, f := range s.Folders {
		if stopped(f) {
			return false, &BlockedError{[]engine.FolderStatus{f}}
		}
		if !idle(f) || !f.Here.Done() || !f.There.Done() {
			return false, nil
		}
	}
	return true, nil
}

// stopped by a guard, on either side.
func stopped(f engine.FolderStatus) bool { return f.State == "stopped" || f.There.State == "paused" }

func idle(f engine.FolderStatus) bool { return f.State == "idle" }

// stalled ends a wait in which nothing has happened for long.
func (w *waiter) stalled(s Status) error {
	quiet := time.Since(w.progressed)
	w.met = w.met || s.Connected
	if !s.Connected {
		switch {
		case w.met && quiet > reconnectTimeout:
			return fmt.Errorf("the container's sync daemon at %s has not answered for %v: is the container short of memory or of processors?", w.d.o.PeerAddress, reconnectTimeout)
		case !w.met && quiet > connectTimeout:
			return fmt.Errorf("the container's sync daemon was not reached at %s within %v", w.d.o.PeerAddress, connectTimeout)
		}
		return nil
	}
	patience := stallTimeout
	for _, f := range s.Folders {
		seconds := f.There.NeedBytes/slowestBytes + int64(f.There.NeedItems/slowestItems)
		patience += time.Duration(seconds) * time.Second
	}
	if quiet < patience {
		return nil
	}
	blocked := &BlockedError{}
	for _, f := range s.Folders {
		if f.Error != "" || f.ErrorCount > 0 || f.There.NeedItems+f.There.NeedDeletes > 0 {
			blocked.Folders = append(blocked.Folders, f)
		}
	}
	if len(blocked.Folders) == 0 {
		return fmt.Errorf("synchronize with the container: %w for %v", errStalled, patience)
	}
	return blocked
}

// note takes a status: has anything changed, and how fast?
func (w *waiter) note(s Status) {
	p := Progress{Connected: s.Connected, RemoteOnly: w.remoteOnly}
	key := fmt.Sprint(s.Connected, s.InBytes>>10, s.OutBytes>>10)
	for _, f := range s.Folders {
		p.Scanning = p.Scanning || strings.HasPrefix(f.State, "scan")
		p.Items += f.There.GlobalItems
		p.Bytes += f.There.GlobalBytes
		p.NeedItems += f.There.NeedItems + f.Here.NeedItems
		p.NeedBytes += f.There.NeedBytes + f.Here.NeedBytes
		p.NeedDeletes += f.There.NeedDeletes + f.Here.NeedDeletes
		key += fmt.Sprint(f.State, f.Files, f.Here, f.There)
	}
	if key != w.last {
		w.last, w.progressed = key, time.Now()
	}
	p.Rate, p.ETA = w.rate.add(time.Now(), s.OutBytes+s.InBytes, p.NeedBytes)
	if w.report != nil {
		w.report(p)
	}
}

// rate is bytes per second over the last rateWindow.
type rate struct {
	samples []sample
}

type sample struct {
	at          time.Time
	bytes, need int64
}

const rateWindow = 5 * time.Second

// longestETA is the most that is worth saying.
const longestETA = 24 * time.Hour

// add takes how many bytes have crossed and how many are needed. Of those that are,
// many may be there already and only be compared, so that the time left follows from
// how the need shrinks.
func (r *rate) add(now time.Time, total, need int64) (perSecond float64, eta time.Duration) {
	r.samples = append(r.samples, sample{now, total, need})
	for len(r.samples) > 2 && now.Sub(r.samples[0].at) > rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0, 0
	}
	perSecond = max(0, float64(total-first.bytes)/took)
	if done := first.need - need; done > 0 {
		if left := float64(need) / float64(done) * took; left < longestETA.Seconds() {
			eta = time.Duration(left * float64(time.Second))
		}
	}
	return perSecond, eta
}
