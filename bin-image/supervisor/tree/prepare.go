package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"okteto/bin-image/process"
	"okteto/internal/contract"
)

// prepare makes the directories that the daemon needs and fills in for start.sh
// where that did not run, as in an image that the agents were baked into, or had no
// room. It is called before each start of the daemon.
// Nothing here is fatal: the service that misses something says so itself, and
// the others go on.
func (s *supervisor) prepare() {
	for _, dir := range []string{s.opts.SyncthingHome, s.opts.DataDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.log.Error("cannot make directory", "path", dir, "err", err)
		}
	}
	for _, name := range []string{contract.SyncthingConfigFile, contract.SyncthingCertFile, contract.SyncthingKeyFile, contract.EngineFile} {
		s.copyMissing(filepath.Join(s.opts.SecretDir, name), filepath.Join(s.opts.SyncthingHome, name))
	}
}

// copyMissing copies a file of the Secret that is not in place yet.
func (s *supervisor) copyMissing(from, to string) {
	if _, err := os.Lstat(to); err == nil {
		return
	}
	content, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		if err = os.WriteFile(to, content, 0o600); err != nil {
			_ = os.Remove(to) // half of it would not be missing the next time
		}
	}
	if err != nil {
		s.log.Error("cannot copy from the secret", "path", to, "err", err)
		return
	}
	s.log.Info("copied from the secret", "path", to)
}

// endOrphans ends what the sessions have left behind, so that databases and the
// like in the dev container can close their files before the container goes.
func (s *supervisor) endOrphans() {
	table, err := process.Snapshot()
	if err != nil {
		s.log.Warn("cannot end the processes that sessions have left", "err", err)
		return
	}
	var live []*process.Process
	for _, p := range table.Descendants(os.Getpid()) {
		if !p.Zombie() {
			live = append(live, p)
		}
	}
	if len(live) == 0 {
		return
	}
	s.log.Info("ending processes that sessions have left", "count", len(live))
	if left := process.End(context.Background(), live, time.Second); len(left) > 0 {
		s.log.Warn("processes do not end", "count", len(left), "pid", left[0].PID)
	}
}
