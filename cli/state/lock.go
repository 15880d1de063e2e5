package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"okteto/internal/contract"
)

// Files beside the contract's. The lock file carries no content, since Windows
// lets nobody read a locked file.
const (
	lockFile   = "up.lock"
	holderFile = "up.json"
)

const (
	// stopGrace is how long an `up` may take to end after it was asked to.
	stopGrace = 10 * time.Second
	// releaseWait is how long a holder that ends may take to give the lock back.
	releaseWait = 3 * time.Second
	lockRetry   = 20 * time.Millisecond
)

// Holder is the process that runs an environment's `up`.
type Holder struct {
	PID int `json:"pid"`
	// Start tells this process from a later one with the same number.
	Start string `json:"start"`
	// Detached says that no terminal belongs to it.
	Detached bool `json:"detached,omitempty"`
}

// Lock is held by the `up` of an environment, and is given back by the operating
// system if the process dies.
type Lock struct {
	env  *Env
	file *flock.Flock
}

// HeldError says that another process runs the environment's `up`.
type HeldError struct {
	Env    *Env
	Holder Holder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("environment %s/%s is held by process %d", e.Env.Namespace, e.Env.Name, e.Holder.PID)
}

// Acquire takes the environment's lock and records this process as its holder.
// It returns a *HeldError when another process has it.
func (e *Env) Acquire(detached bool) (*Lock, error) {
	file, err := e.lock()
	if err != nil {
		return nil, err
	}
	lock := &Lock{env: e, file: file}
	start, err := processStart(os.Getpid())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("identify this process: %w", err), lock.Release())
	}
	content, err := json.Marshal(Holder{PID: os.Getpid(), Start: start, Detached: detached})
	if err == nil {
		err = WriteFile(e.Path(holderFile), content)
	}
	if err == nil {
		err = e.WritePID()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, nil
}

// lock takes the lock file. Its holder removes it when it is done, so what was
// locked here may be a file that is gone: then it is done again with the new one.
func (e *Env) lock() (*flock.Flock, error) {
	for deadline := time.Now().Add(releaseWait); ; {
		file := flock.New(e.Path(lockFile), flock.SetPermissions(0o600))
		ok, err := file.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock environment: %w", err)
		}
		if !ok {
			holder := e.holder()
			err := file.Close()
			if err == nil && !holder.alive() && time.Now().Before(deadline) {
				// Its holder is about to end.
				time.Sleep(lockRetry)
				continue
			}
			return nil, errors.Join(&HeldError{Env: e, Holder: holder}, err)
		}
		locked, err := file.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock environment: %w", err), file.Close())
		}
		if named, err := os.Stat(e.Path(lockFile)); err == nil && os.SameFile(locked, named) {
			return file, nil
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock environment: %w", err)
		}
	}
}

// Release gives the lock back and removes what only its holder means.
func (l *Lock) Release() error {
	err := errors.Join(removeIfThere(l.env.Path(holderFile)), l.env.Clear())
	// The file goes while it is locked, see lock. Windows does not remove open
	// files; there it stays.
	_ = os.Remove(l.env.Path(lockFile))
	return errors.Join(err, l.file.Close())
}

// Running returns the process that runs the environment's `up`, if there is one.
// It looks at the process rather than at the lock, so that looking never keeps
// an `up` that begins from getting the lock.
func (e *Env) Running() (Holder, bool) {
	h := e.holder()
	return h, h.alive()
}

// Stop ends the environment's `up`, if one runs: it is asked to end, and after a
// grace period it is killed. The process is known by number and start time, so
// nobody else is ever hit. It reports whether there was one.
func (e *Env) Stop(ctx context.Context) (bool, error) {
	holder, running := e.Running()
	if !running {
		return false, nil
	}
	if err := terminate(holder.PID); err != nil {
		return true, fmt.Errorf("end okteto up (process %d): %w", holder.PID, err)
	}
	if e.waitReleased(ctx, stopGrace) {
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return true, fmt.Errorf("end okteto up (process %d): %w", holder.PID, context.Cause(ctx))
	}
	if holder.alive() {
		if err := kill(holder.PID); err != nil {
			return true, fmt.Errorf("kill okteto up (process %d): %w", holder.PID, err)
		}
	}
	if !e.waitReleased(ctx, stopGrace) {
		return true, fmt.Errorf("end okteto up (process %d): it does not go away", holder.PID)
	}
	return true, nil
}

func (e *Env) waitReleased(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(lockRetry)
	defer ticker.Stop()
	for {
		if _, running := e.Running(); !running {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

// holder reads who wrote the holder file; zero when that cannot be told.
func (e *Env) holder() Holder {
	content, err := os.ReadFile(e.Path(holderFile))
	if err != nil {
		return Holder{PID: e.PID()}
	}
	var h Holder
	if json.Unmarshal(content, &h) != nil {
		return Holder{PID: e.PID()}
	}
	return h
}

func (h Holder) alive() bool {
	if h.PID <= 0 || h.Start == "" {
		return false
	}
	start, err := processStart(h.PID)
	return err == nil && start == h.Start
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// All lists the environments that an `up` ran for on this laptop.
func All() ([]*Env, error) {
	home, err := Home()
	if err != nil {
		return nil, err
	}
	var envs []*Env
	for _, name := range []string{lockFile, contract.SyncthingInfoFile} {
		paths, err := filepath.Glob(filepath.Join(home, "*", "*", name))
		if err != nil {
			return nil, fmt.Errorf("list environments: %w", err)
		}
		for _, path := range paths {
			dir := filepath.Dir(path)
			if slices.ContainsFunc(envs, func(e *Env) bool { return e.Dir == dir }) {
				continue
			}
			envs = append(envs, &Env{
				Home: home, Dir: dir,
				Namespace: filepath.Base(filepath.Dir(dir)), Name: filepath.Base(dir),
			})
		}
	}
	return envs, nil
}
