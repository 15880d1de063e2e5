// Package seed runs the laptop's end of a seed (internal/seed) over SSH.
package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/engine"
	"okteto/internal/seed"
)

// ErrUnsupported is returned when the SSH server in the pod has no seed, as the
// original's: the engine then synchronizes by itself.
var ErrUnsupported = errors.New("the container's SSH server cannot be seeded")

// Folder to seed.
type Folder struct{ ID, LocalPath, RemotePath string }

// Options of a seed.
type Options struct {
	Folders []Folder
	// LocalWins replaces what differs in the pod and sets aside what only the
	// pod has and is not ignored: for an environment's first synchronization.
	// Otherwise only what is missing is added, as for a fresh pod.
	LocalWins bool
	// Report is called often; nil: never.
	Report func(Progress)
}

// Progress of a seed over all folders.
type Progress struct {
	seed.Progress
	// Rate in bytes per second since the start, and what it means for the rest.
	Rate float64
	ETA  time.Duration
}

// Result of a folder's seed.
type Result struct {
	Folder Folder
	seed.Result
}

// Run seeds the folders over an SSH connection. It returns ErrUnsupported
// against a server that has no seed. When the context ends the seed breaks off;
// another one goes on where it stopped.
func Run(ctx context.Context, client *ssh.Client, o Options) ([]Result, error) {
	folders, err := o.folders()
	if err != nil {
		return nil, err
	}
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("seed: open session: %w", err)
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	in, err := session.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if err := session.RequestSubsystem(contract.SeedSubsystem); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	got, err := seed.Send(ctx, pipe{out, in}, folders, o.reporter())
	results := make([]Result, 0, len(got))
	for i, r := range got {
		results = append(results, Result{Folder: o.Folders[i], Result: r})
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return results, err
}

type pipe struct {
	io.Reader
	io.Writer
}

func (o Options) folders() ([]seed.Folder, error) {
	var out []seed.Folder
	for _, f := range o.Folders {
		ignores, err := engine.LoadIgnores(f.LocalPath)
		if err != nil {
			return nil, err
		}
		out = append(out, seed.Folder{
			ID: f.ID, LocalPath: f.LocalPath, RemotePath: f.RemotePath, Skip: ignores.Skip, Ignore: ignores.Text(),
			LocalWins: o.LocalWins, Trash: path.Join(contract.TrashDir, f.ID),
		})
	}
	return out, nil
}

func (o Options) reporter() func(seed.Progress) {
	if o.Report == nil {
		return nil
	}
	start := time.Now()
	return func(p seed.Progress) {
		progress := Progress{Progress: p}
		if took := time.Since(start).Seconds(); took > 0 && p.Bytes > 0 {
			progress.Rate = float64(p.Bytes) / took
			progress.ETA = time.Duration(float64(p.TotalBytes-p.Bytes) / progress.Rate * float64(time.Second))
		}
		o.Report(progress)
	}
}
