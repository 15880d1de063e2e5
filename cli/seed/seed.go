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

	"okteto/cli/tunnel"
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
	// Otherwise only a folder that is empty in the pod is filled, as after the
	// pod was replaced: it is always safe to call.
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
	var results []Result
	err = withSubsystem(ctx, client, func(p io.ReadWriter) error {
		got, err := seed.Send(ctx, p, folders, o.reporter())
		for i, r := range got {
			results = append(results, Result{Folder: o.Folders[i], Result: r})
		}
		return err
	})
	return results, err
}

// withSubsystem talks to the pod's end.
func withSubsystem(ctx context.Context, client *ssh.Client, talk func(io.ReadWriter) error) error {
	err := tunnel.Subsystem(ctx, client, contract.SeedSubsystem, talk)
	if errors.Is(err, tunnel.ErrNoSubsystem) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
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

// Difference between the laptop's folder and the pod's.
type Difference struct {
	Folder Folder
	seed.Difference
}

// Verify compares whole folders by content over an SSH connection, and changes
// nothing. What is ignored is not looked at.
func Verify(ctx context.Context, client *ssh.Client, folders []Folder) ([]Difference, error) {
	wanted, err := Options{Folders: folders}.folders()
	if err != nil {
		return nil, err
	}
	var out []Difference
	err = withSubsystem(ctx, client, func(p io.ReadWriter) error {
		found, err := seed.Verify(ctx, p, wanted)
		for i, folder := range found {
			for _, d := range folder {
				out = append(out, Difference{folders[i], d})
			}
		}
		return err
	})
	return out, err
}
