package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// connCount numbers connections for the log.
var connCount atomic.Uint64

// Run listens and serves until ctx ends.
func Run(ctx context.Context, opts Options) error {
	s, err := New(opts)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", opts.listenAddress())
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: another program has the port (choose one with --port): %w", opts.listenAddress(), err)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", opts.listenAddress(), err)
	}
	stop := s.serveMetrics(opts.MetricsSocket)
	defer stop()
	var upkeep sync.WaitGroup
	upkeepCtx, stopUpkeep := context.WithCancel(ctx)
	defer upkeep.Wait()
	defer stopUpkeep()
	for _, f := range []func(context.Context){s.load.tune, s.sessions.ReapOrphans} {
		upkeep.Add(1)
		go func() {
			defer upkeep.Done()
			f(upkeepCtx)
		}()
	}
	return s.Serve(ctx, ln)
}

// serveMetrics answers on a unix socket, for the supervisor. Without it the
// server works all the same, so errors are logged only.
func (s *Server) serveMetrics(path string) (stop func()) {
	if path == "" {
		return func() {}
	}
	s.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path) // left by a killed server
	}
	_ = os.MkdirAll(filepath.Dir(path), 0o700)
	ln, err := net.Listen("unix", path)
	if err != nil {
		s.opts.Log.Warn("metrics are not served", "path", path, "err", err)
		return func() {}
	}
	_ = os.Chmod(path, 0o600)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	return func() {
		_ = srv.Close()
		<-done
	}
}

// stateDirs are where private directories can be made, in order of preference.
func stateDirs(opts Options) []string {
	return []string{os.TempDir(), filepath.Dir(opts.HostKey), "/dev/shm", opts.WorkDir}
}

// appletDirs are where links to the bundled busybox may be kept.
func appletDirs(opts Options) []string {
	name := fmt.Sprintf("okteto-applets-%d", os.Getuid())
	return []string{
		filepath.Join(filepath.Dir(opts.HostKey), "applets"),
		filepath.Join(os.TempDir(), name),
		filepath.Join("/dev/shm", name),
	}
}
