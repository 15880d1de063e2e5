package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections to the listener: silent ones must not use up the pod's
	// file descriptors.
	maxConnections = 64
	retryListen    = 5 * time.Second
)

// Listener serves HTTP on one address. It implements suture.Service. An address
// in use is no reason to end: it is tried again, since the rest of the pod works
// without it.
type Listener struct {
	Address string
	Handler http.Handler
	Log     *slog.Logger

	retry time.Duration // retryListen unless a test sets it
}

// String names the service to suture.
func (l *Listener) String() string { return "metrics" }

// Serve listens until ctx is done.
func (l *Listener) Serve(ctx context.Context) error {
	listener, err := l.listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           l.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		// What is being answered may finish, what is idle may not stay.
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(shutdown); err != nil {
			server.Close()
		}
	}()
	err = server.Serve(netutil.LimitListener(listener, maxConnections))
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		<-stopped
		return ctx.Err()
	}
	return fmt.Errorf("serve metrics on %s: %w", l.Address, err)
}

func (l *Listener) listen(ctx context.Context) (net.Listener, error) {
	warned, retry := false, l.retry
	if retry == 0 {
		retry = retryListen
	}
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
		if err == nil {
			l.Log.Info("metrics and health", "address", listener.Addr().String())
			return listener, nil
		}
		if !warned {
			warned = true
			l.Log.Warn("cannot listen for metrics, trying again", "err", err, "every", retry.String(),
				"hint", "set OKTETO_METRICS_ADDRESS to another host:port, or to off")
		}
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
