package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// ErrLocked is returned when another daemon owns the environment's folder.
var ErrLocked = errors.New("another sync daemon owns this environment")

// ownerLock is held by the daemon as long as it lives. The file says which
// process that is, by pid and start time, so that a reused pid is never taken
// for it.
type ownerLock struct{ lock *flock.Flock }

func acquire(home string) (*ownerLock, error) {
	path := filepath.Join(home, lockFile)
	lock := flock.New(path, flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w (%s)", ErrLocked, path)
	}
	started, err := startTime(os.Getpid())
	if err == nil {
		err = os.WriteFile(path, fmt.Appendf(nil, "%d %d\n", os.Getpid(), started), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), lock.Unlock())
	}
	return &ownerLock{lock}, nil
}

func (l *ownerLock) release() { _ = l.lock.Unlock() }

// owner is the process that holds the lock of home; false: nobody does.
func owner(home string) (pid int, alive bool, err error) {
	path := filepath.Join(home, lockFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return 0, false, fmt.Errorf("look at %s: %w", path, err)
	}
	if free {
		return 0, false, lock.Unlock()
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, true, fmt.Errorf("read %s: %w", path, err)
	}
	fields := strings.Fields(string(content))
	if len(fields) != 2 {
		return 0, true, nil // it has only just taken the lock
	}
	pid, err = strconv.Atoi(fields[0])
	if err != nil {
		return 0, true, fmt.Errorf("parse %s: %w", path, err)
	}
	started, err := startTime(pid)
	if err != nil || strconv.FormatInt(started, 10) != fields[1] {
		return 0, true, nil
	}
	return pid, true, nil
}

// patience with a left-over daemon, for each kind of request to end.
const (
	interruptPatience = 3 * time.Second
	terminatePatience = 2 * time.Second
	lockPoll          = 10 * time.Millisecond
)

// endStale ends a daemon that an earlier `up` left behind: it is asked, told,
// and at last killed. Only the process that holds the lock is touched.
func endStale(ctx context.Context, home string) error {
	for _, step := range []struct {
		signal   os.Signal
		patience time.Duration
	}{{os.Interrupt, interruptPatience}, {syscall.SIGTERM, terminatePatience}, {os.Kill, terminatePatience}} {
		deadline := time.Now().Add(step.patience)
		signalled := 0
		for time.Now().Before(deadline) {
			pid, alive, err := owner(home)
			if err != nil {
				return err
			}
			if !alive {
				return nil
			}
			if pid != 0 && pid != signalled && pid != os.Getpid() {
				signalled = pid
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Signal(step.signal)
				}
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(lockPoll):
			}
		}
	}
	return fmt.Errorf("%w and does not end; end it by hand (%s names the process)", ErrLocked, filepath.Join(home, lockFile))
}
