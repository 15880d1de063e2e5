package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"okteto/internal/engine"
)

// drainTime bounds how long the end is put off for what was saved last. The whole pod
// has five seconds.
const drainTime = 2500 * time.Millisecond

// serveAndDrain serves until the context ends, and then until what was saved in the
// container is on the laptop: in most pods the files go with the container.
func serveAndDrain(ctx context.Context, e *engine.Engine, log *slog.Logger) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var draining sync.WaitGroup
	defer draining.Wait()
	defer stop()
	draining.Go(func() {
		defer stop()
		select {
		case <-ctx.Done():
		case <-serving.Done():
			return
		}
		limited, cancel := context.WithTimeout(serving, drainTime)
		defer cancel()
		if err := e.Drain(limited); err != nil {
			log.Warn("not all that was saved here last is on the other side", "err", err)
		}
	})
	return e.Serve(serving)
}
