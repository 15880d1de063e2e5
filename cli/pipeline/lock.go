package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/kube"
	"okteto/cli/pause"
	"okteto/cli/ui"
)

const (
	// renewPeriod is how often a run writes that it lives, and its log.
	renewPeriod = 4 * time.Second
	// staleAfter is how long a lock may go without being renewed before someone
	// else takes it. It is measured by the clock of who waits, so clocks need
	// not agree.
	staleAfter = 20 * time.Second
	// lockPoll is how often who waits looks.
	lockPoll = 500 * time.Millisecond
	// finishTimeout bounds the last write of a run that was interrupted.
	finishTimeout = 10 * time.Second
)

// errLost says that someone else took the pipeline, since this run did not
// renew its lock for too long (a sleeping laptop).
var errLost = errors.New("another run took over")

// run is the exclusive hold of a pipeline by this process. Its methods are safe
// for concurrent use.
type run struct {
	client *kube.Client
	// lock is what the ConfigMap says while this run holds the pipeline.
	lock string

	mu sync.Mutex // protects the following
	cm *corev1.ConfigMap
	// Record is what the ConfigMap says, or will.
	record *Record
	log    *tail
}

// acquire takes the pipeline, creating its record if there is none, and waits
// while another run holds it. begin turns the record that is there into the one
// of this run; it returns false to leave everything as it is, and then acquire
// returns nil.
func acquire(ctx context.Context, c *kube.Client, name string, begin func(*Record, bool) (bool, error), waiting func(*Record)) (*run, error) {
	maps := c.Clientset.CoreV1().ConfigMaps(c.Namespace)
	watch := &staleness{}
	for {
		cm, err := maps.Get(ctx, objectNameOf(name), metav1.GetOptions{})
		exists := err == nil
		switch {
		case apierrors.IsNotFound(err):
			cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: objectNameOf(name), Namespace: c.Namespace}}
		case err != nil:
			return nil, c.Explain(err, "read the state of pipeline "+name)
		}
		record := decodeRecord(cm)
		if record.lock != "" && !watch.stale(record) {
			waiting(record)
			if err := pause.For(ctx, lockPoll); err != nil {
				return nil, busy(name, record, err)
			}
			continue
		}
		record.Name, record.Namespace = name, c.Namespace
		if ok, err := begin(record, exists); err != nil || !ok {
			return nil, err
		}
		record.Started, record.Finished, record.Message, record.Log = time.Now(), time.Time{}, "", ""
		record.lock, record.Holder, record.renewed = lockID(), holder(), stamp(time.Now())
		record.put(cm)
		if exists {
			cm, err = maps.Update(ctx, cm, metav1.UpdateOptions{})
		} else {
			cm, err = maps.Create(ctx, cm, metav1.CreateOptions{})
		}
		switch {
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), exists && apierrors.IsNotFound(err):
			continue // someone was faster
		case err != nil:
			return nil, c.Explain(err, "record the state of pipeline "+name)
		}
		return &run{client: c, lock: record.lock, cm: cm, record: record}, nil
	}
}

func busy(name string, r *Record, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	doing := "deploying"
	if r.Status == Destroying {
		doing = "destroying"
	}
	return &ui.Problem{
		Summary: fmt.Sprintf("%s is %s pipeline %s since %s", r.Holder, doing, name, r.Started.Local().Format(time.TimeOnly)),
		Hint:    "try again when that is done, or wait longer with --timeout",
		Cause:   err,
	}
}

// staleness observes whether a lock is renewed.
type staleness struct {
	lock, renewed string
	since         time.Time
}

func (s *staleness) stale(r *Record) bool {
	if s.lock != r.lock || s.renewed != r.renewed || s.since.IsZero() {
		s.lock, s.renewed, s.since = r.lock, r.renewed, time.Now()
	}
	// The original renews nothing: its lock is only ever waited for.
	return r.renewed != "" && time.Since(s.since) > staleAfter
}

func lockID() string {
	id := make([]byte, 8)
	rand.Read(id) // never fails: crypto/rand
	return hex.EncodeToString(id)
}

func holder() string {
	name, host := "someone", "somewhere"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return fmt.Sprintf("%s@%s (process %d)", name, host, os.Getpid())
}

// save writes the record after change, in one request. The lock is checked
// first: who lost it writes nothing.
func (r *run) save(ctx context.Context, change func(*Record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps := r.client.Clientset.CoreV1().ConfigMaps(r.client.Namespace)
	if change != nil {
		change(r.record)
	}
	if r.log != nil {
		r.record.Log = r.log.String()
	}
	for {
		cm := r.cm.DeepCopy()
		r.record.put(cm)
		updated, err := maps.Update(ctx, cm, metav1.UpdateOptions{})
		if err == nil {
			r.cm = updated
			return nil
		}
		if !apierrors.IsConflict(err) {
			if apierrors.IsNotFound(err) {
				return errLost
			}
			return r.client.Explain(err, "record the state of pipeline "+r.record.Name)
		}
		// Labels, annotations: anyone may touch those, and a write of ours that was
		// cancelled may have been done. The lock says who owns it; it is not the
		// record's, which the last write empties.
		if r.cm, err = maps.Get(ctx, r.cm.Name, metav1.GetOptions{}); err != nil {
			return r.client.Explain(err, "read the state of pipeline "+r.record.Name)
		}
		if r.cm.Data[keyLock] != r.lock {
			return errLost
		}
	}
}

// renew writes the record again and again until ctx ends, and cancels the run
// when someone else took over. A failed write is repeated: whether the lock is
// lost, the next one that gets through will tell.
func (r *run) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	for pause.For(ctx, renewPeriod) == nil {
		err := r.save(ctx, func(record *Record) { record.renewed = stamp(time.Now()) })
		if errors.Is(err, errLost) {
			cancel(err)
			return
		}
	}
}

// places are the other namespaces that something was created in, and the kinds
// of what was.
func (r *run) places() (namespaces, kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.record.namespaces), slices.Clone(r.record.kinds)
}

// destroyed is how many of the destroy commands were done before.
func (r *run) destroyed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record.destroyed
}

// finish records the end of the run and gives the pipeline back. It is done
// even after ctx ended.
func (r *run) finish(ctx context.Context, change func(*Record)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	return r.save(ctx, func(record *Record) {
		change(record)
		record.Finished = time.Now()
		record.lock, record.renewed, record.Holder = "", "", ""
	})
}

// remove deletes the record, unless someone else took over.
func (r *run) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	maps := r.client.Clientset.CoreV1().ConfigMaps(r.client.Namespace)
	for {
		err := maps.Delete(ctx, r.cm.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.cm.UID, ResourceVersion: &r.cm.ResourceVersion}})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return r.client.Explain(err, "delete the record of pipeline "+r.record.Name)
		}
		if r.cm, err = maps.Get(ctx, r.cm.Name, metav1.GetOptions{}); err != nil {
			return r.client.Explain(err, "read the state of pipeline "+r.record.Name)
		}
		if r.cm.Data[keyLock] != r.lock {
			return errLost
		}
	}
}
