package tree

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/thejerf/suture/v4"

	"okteto/bin-image/supervisor/child"
	"okteto/bin-image/supervisor/health"
	"okteto/bin-image/supervisor/logbuffer"
	"okteto/bin-image/supervisor/metrics"
	"okteto/bin-image/supervisor/service"
	"okteto/bin-image/supervisor/syncapi"
	"okteto/bin-image/supervisor/syncstat"
	"okteto/internal/cgroup"
	"okteto/internal/contract"
)

// supervisor is what Run assembles.
type supervisor struct {
	opts     Options
	log      *slog.Logger
	reaper   *child.Reaper
	memory   *cgroup.Memory // nil where the cgroup cannot be seen
	services []*service.Service
	health   *health.Handler
	metrics  *metrics.Registry

	// remoteMetrics opens the SSH server's page of metrics.
	remoteMetrics func(context.Context) (io.ReadCloser, error)

	sync      *syncapi.Client
	syncState *syncstat.Source
	watcher   *syncstat.Watcher
}

// logLimit is how much of the log is held while nobody reads it, in bytes.
const logLimit = 1 << 20

// Run keeps the services alive until ctx is done, which is what the program's
// signals do, and then ends them within opts.Grace. It returns nil if everything
// ended by itself, else what did not.
func Run(ctx context.Context, opts Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if opts.Verbose {
		level = slog.LevelDebug
	}
	buffer := logbuffer.New(opts.Log, logLimit)
	defer buffer.Close(time.Second)
	log := slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: level}))
	log.Info("supervisor", "version", contract.Version, "pid", os.Getpid(), "uid", os.Getuid())
	// Small and steady beats fast here: the work is a scrape now and then.
	debug.SetGCPercent(50)

	reaper, err := child.NewReaper()
	if err != nil {
		return err
	}
	s := &supervisor{opts: opts, log: log, reaper: reaper}
	if s.memory, err = cgroup.Self(); err != nil {
		log.Info("the container's memory figures cannot be read; kills for memory will show as signals", "err", err)
	}
	s.assemble()
	err = s.run(ctx)
	reaper.Close()
	s.sync.Close()
	return err
}

// assemble makes the services; nothing runs yet.
func (s *supervisor) assemble() {
	s.sync = syncapi.NewClient(s.opts.SyncthingAddress, s.configPath())
	s.remoteMetrics = metrics.UnixSocket(s.opts.RemoteMetricsSocket)
	s.syncState = syncstat.NewSource(s.sync, s.configPath())
	s.watcher = syncstat.NewWatcher(s.sync, s.log)
	daemon := service.New(s.reaper, s.syncthing())
	s.services = append(s.services, daemon)
	if s.opts.Remote {
		remote := s.remote()
		// What was saved last goes to the laptop through it.
		remote.After = daemon.Stopped()
		s.services = append(s.services, service.New(s.reaper, remote))
	}
	s.health = health.New(s.checks)
	s.metrics = metrics.New(s.sources())
}

func (s *supervisor) run(ctx context.Context) error {
	spec := suture.Spec{
		EventHook: s.event,
		// The services have their own backoff; suture's is for the whole
		// tree at once.
		FailureThreshold: math.Inf(1),
		FailureBackoff:   time.Millisecond,
		Timeout:          service.AfterLimit + s.opts.Grace + time.Second,
	}
	root := suture.New("okteto-supervisor", spec)
	for _, svc := range s.services {
		root.Add(svc)
	}
	root.Add(s.watcher)
	if s.opts.Remote {
		root.Add(&keys{secret: s.opts.KeysSecret, file: s.authorizedKeys(), log: s.log})
	}
	if s.opts.MetricsAddress != metricsOff {
		root.Add(&metrics.Listener{Address: s.opts.MetricsAddress, Handler: s.handler(), Log: s.log})
	}
	ended := root.ServeBackground(ctx)
	<-ctx.Done()
	s.log.Info("stopping", "cause", fmt.Sprint(context.Cause(ctx)))
	s.health.Stop()
	<-ended
	unstopped, err := root.UnstoppedServiceReport()
	if err != nil {
		return fmt.Errorf("stop services: %w", err)
	}
	s.endOrphans()
	if len(unstopped) > 0 {
		return fmt.Errorf("stop services: %d did not end in time, the first is %s", len(unstopped), unstopped[0].Name)
	}
	for _, svc := range s.services {
		if last := svc.Status().Last; last != nil && last.Reason == service.ReasonStop && last.Exit.Signal != 0 && !gentle(last.Exit) {
			return fmt.Errorf("stop %s: it had to be killed", svc)
		}
	}
	s.log.Info("stopped")
	return nil
}

// event logs what suture has to say about the tree; the ends of services have
// been logged where they are known better.
func (s *supervisor) event(e suture.Event) {
	switch e.Type() {
	case suture.EventTypeServicePanic:
		s.log.Error("panic in the supervisor, the service goes on", "err", e.String())
	case suture.EventTypeStopTimeout:
		s.log.Error("service does not stop", "err", e.String())
	}
}

// checks are the lines of /readyz.
func (s *supervisor) checks(ctx context.Context) []health.Check {
	checks := make([]health.Check, 0, len(s.services))
	for _, svc := range s.services {
		status := svc.Status()
		checks = append(checks, health.Check{
			Name: status.Name, OK: status.Phase == service.Ready, Message: status.Summary(),
		})
	}
	for _, f := range s.syncState.Folders(ctx) {
		check := health.Check{Name: "folder " + f.ID, OK: f.State != syncstat.StateUnknown, Message: f.State}
		switch {
		case f.State == syncstat.StateError:
			check.OK, check.Message = false, "stopped, see the log"
		case f.PullErrors > 0:
			check.OK, check.Message = false, fmt.Sprintf("%d items cannot be written, see the log", f.PullErrors)
		}
		if !check.OK && f.State != syncstat.StateUnknown {
			if cause := diskFull(f.Path, s.opts.DataDir); cause != nil {
				check.Message += " (" + cause.ID + ")"
			}
		}
		checks = append(checks, check)
	}
	return checks
}
