package workload

import (
	"context"

	"okteto/cli/manifest"
)

// Find returns the original that the manifest means: by labels if it has a
// selector, else the Deployment or StatefulSet of that name. Twins are ignored.
// The error is ErrNotFound, ErrAmbiguous or ErrNotAllowed with an explanation,
// or the API server's. With autocreate it returns a sandbox instead.
func Find(ctx context.Context, t Target) (*Workload, error) { return find(ctx, t) }

// Translate makes the objects of development mode from an original. It is pure:
// neither w nor dev is changed, and equal arguments give equal results. The
// error explains what in the manifest or the original forbids it.
func Translate(w *Workload, dev *manifest.Dev, o Options) (*Twin, error) { return translate(w, dev, o) }

// Plan returns what Activate would apply, and changes nothing.
func Plan(ctx context.Context, t Target, o Options) (*Twin, error) { return planOnly(ctx, t, o) }

// Activate puts the target in development mode: claim, Secret, twin, and the
// original to zero. It is idempotent, continues what an interrupted run left,
// adopts a change of the original's spec or replicas, and restores what an
// older CLI had translated in place before it begins. A failure of a fresh
// activation undoes what it did. report may be nil.
func Activate(ctx context.Context, t Target, o Options, report func(Step)) (*Activation, error) {
	return activate(ctx, t, o, report)
}

// WaitForPod waits until the activation's pod runs, at most the manifest's
// timeout.resources, and reports what it waits for whenever that changes. The
// error is a *PodError, ErrDeactivated or ErrNotFound if the twin is gone, or
// the context's.
func WaitForPod(ctx context.Context, t Target, a *Activation, report func(PodProgress)) (*Pod, error) {
	return waitForPod(ctx, t, a, report)
}

// Watch reports what happens to the environment until ctx ends, when the
// channel is closed. Loss of the connection to the API
// server is no change: watching goes on when it is back.
func Watch(ctx context.Context, t Target, a *Activation) (<-chan Change, error) {
	return watchEnvironment(ctx, t, a)
}

// Deactivate takes the target out of development mode and leaves the original
// as it was: replicas, labels and annotations; the twin and the Secret are
// gone. It works when the workload is gone, when an earlier run was
// interrupted, and on what an older CLI translated in place, and is idempotent.
func Deactivate(ctx context.Context, t Target, o DownOptions) (*DownReport, error) {
	return deactivate(ctx, t, o)
}

// SecretData returns what an earlier `up` stored in the environment's Secret,
// nil if there is none.
func SecretData(ctx context.Context, t Target) (map[string][]byte, error) {
	return secretData(ctx, t)
}
