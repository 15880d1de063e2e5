package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// keysEvery is how often the keys in the Secret are looked at. The kubelet itself
// takes up to a minute to bring a change into the pod.
const keysEvery = 5 * time.Second

// keys keeps the SSH server's authorized keys as they are in the Secret, when that
// changes while the pod runs: another laptop is let in, and a key that was taken out
// is kept out, without a new pod. The server reads the file anew for each login. It
// implements suture.Service.
type keys struct {
	// secret is the file in the Secret's mount, file the server's copy, which
	// start.sh has made.
	secret, file string
	log          *slog.Logger
}

// String names the service to suture.
func (k *keys) String() string { return "authorized keys" }

// Serve looks until ctx is done.
func (k *keys) Serve(ctx context.Context) error {
	seen, seenErr := os.ReadFile(k.secret)
	ticker := time.NewTicker(keysEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := os.ReadFile(k.secret)
		if err != nil {
			if seenErr == nil && !errors.Is(err, fs.ErrNotExist) {
				k.log.Warn("cannot read the authorized keys of the secret, the earlier ones stay", "err", err)
			}
			seenErr = err
			continue
		}
		if seenErr == nil && bytes.Equal(now, seen) {
			continue
		}
		if err := k.replace(now); err != nil {
			k.log.Warn("the authorized keys of the secret have changed and cannot be copied, trying again", "err", err)
			continue
		}
		seen, seenErr = now, nil
		k.log.Info("the authorized keys have changed in the secret: the new ones count from now on")
	}
}

// replace the server's file in one step.
func (k *keys) replace(content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(k.file), ".okteto-keys-") // 0600
	if err != nil {
		return fmt.Errorf("copy authorized keys: %w", err)
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), k.file)
	}
	if err != nil {
		return fmt.Errorf("copy authorized keys: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
