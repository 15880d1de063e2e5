// Package service keeps one process alive: it starts it, finds out when it
// answers, passes its output on as structured lines, explains each end and
// starts it again.
package service

import (
	"context"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"okteto/bin-image/supervisor/child"
)

// Config of a service.
type Config struct {
	Name string
	// Command is asked before each start; first is true until one succeeds.
	Command func(first bool) child.Spec
	// Probe answers nil once the service works. It is asked until it does, and
	// from then on each ProbeEvery.
	Probe func(ctx context.Context) error
	// ProbeEvery defaults to 20 s, ProbeTimeout to 10 s.
	ProbeEvery, ProbeTimeout time.Duration
	// Hung is for how long a running service may fail its probe before it is
	// ended; 0 is for ever.
	Hung time.Duration
	// RestartCode is the exit code by which the service asks for a restart; 0
	// is none.
	RestartCode int
	// After is closed when this service may be stopped: another one has need of it
	// until then, or for AfterLimit. Nil: at once.
	After <-chan struct{}
	// Grace is the time between TERM and KILL; 3 s by default.
	Grace   time.Duration
	Backoff Backoff
	// OOMKills is the kernel's count for the container; nil where it is not known.
	OOMKills func() (uint64, error)
	// Diagnose looks at the facts for what may be wrong; nil result for nothing
	// found.
	Diagnose func() *Cause
	Log      *slog.Logger
}

// Service implements suture.Service: it is served as long as the process is to be
// kept alive.
type Service struct {
	cfg    Config
	reaper *child.Reaper

	mu     sync.Mutex // protects status
	status Status

	// Used by Serve only, which runs once at a time.
	backoff Backoff
	wait    time.Duration
	started bool
	kills   *kills

	stopped chan struct{}
	once    sync.Once // closes stopped
}

// New service; it does nothing until served.
func New(reaper *child.Reaper, cfg Config) *Service {
	if cfg.ProbeEvery == 0 {
		cfg.ProbeEvery = 20 * time.Second
	}
	if cfg.ProbeTimeout == 0 {
		cfg.ProbeTimeout = 10 * time.Second
	}
	if cfg.Grace == 0 {
		cfg.Grace = 3 * time.Second
	}
	if cfg.Backoff.Min == 0 {
		cfg.Backoff = DefaultBackoff()
	}
	cfg.Log = cfg.Log.With("service", cfg.Name)
	return &Service{
		cfg: cfg, reaper: reaper, backoff: cfg.Backoff,
		kills:   &kills{count: cfg.OOMKills, window: killWindow},
		stopped: make(chan struct{}),
		status:  Status{Name: cfg.Name, Phase: Waiting, Exits: map[Reason]uint64{}},
	}
}

// String names the service to suture.
func (s *Service) String() string { return s.cfg.Name }

// Serve keeps the process running until ctx ends, whose error it returns. The
// reason of each end of the process is in Status and in the log.
func (s *Service) Serve(ctx context.Context) error {
	for s.pause(ctx) {
		s.run(ctx)
	}
	s.update(func(st *Status) { st.Phase, st.Next = Stopped, time.Time{} })
	s.once.Do(func() { close(s.stopped) })
	return ctx.Err()
}

// Stopped is closed when the service was told to stop, and its process has ended.
func (s *Service) Stopped() <-chan struct{} { return s.stopped }

// AfterLimit bounds how long others may keep a service from being stopped.
const AfterLimit = 3 * time.Second

// awaitOthers returns when the process may be stopped, or has ended by itself.
func (s *Service) awaitOthers(p *child.Process) {
	if s.cfg.After == nil {
		return
	}
	timer := time.NewTimer(AfterLimit)
	defer timer.Stop()
	select {
	case <-s.cfg.After:
	case <-p.Done():
	case <-timer.C:
	}
}

// run starts the process and returns after its end.
func (s *Service) run(ctx context.Context) {
	spec := s.cfg.Command(!s.started)
	s.kills.start()
	out, err := s.startOutput(&spec)
	if err != nil {
		s.failedStart(err)
		return
	}
	process, err := s.reaper.Start(spec)
	out.started()
	if err != nil {
		out.wait()
		s.failedStart(err)
		return
	}
	restart := s.started
	s.started = true
	s.update(func(st *Status) {
		st.Phase, st.PID, st.Started, st.Next, st.Cause = Starting, process.PID, process.Started, time.Time{}, nil
		if restart {
			st.Restarts++
		}
	})
	s.cfg.Log.Info("started", "pid", process.PID)

	hung := s.watch(ctx, process)
	stopping := ctx.Err() != nil
	if stopping && !hung {
		s.awaitOthers(process)
	}
	if stopping || hung {
		s.end(process)
	}
	exit := process.Exit()
	out.wait()
	reason := s.reason(exit, s.kills.risen())
	switch {
	case hung:
		reason = ReasonUnresponsive
	case stopping:
		reason = ReasonStop
	}
	s.ended(process, exit, reason)
}

// pause waits until the next start is due. It reports whether there is to be one.
func (s *Service) pause(ctx context.Context) bool {
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// failedStart notes that there is no process to watch.
func (s *Service) failedStart(err error) {
	cause := s.diagnose()
	s.wait = s.backoff.Failed(0)
	s.update(func(st *Status) {
		st.Phase, st.PID = Waiting, 0
		st.Last = &Ended{Reason: ReasonStart, At: time.Now(), Cause: cause}
		st.Exits[ReasonStart]++
		st.Next = time.Now().Add(s.wait)
		st.Failing = s.backoff.Exhausted()
	})
	s.cfg.Log.Error("cannot be started", "err", err, "next", s.wait.String())
}

// ended notes the end of a run and when the next one is due.
func (s *Service) ended(p *child.Process, exit child.Exit, reason Reason) {
	end := Ended{Reason: reason, Exit: exit, At: time.Now()}
	log, level := s.cfg.Log.With("pid", p.PID, "reason", string(reason), "ended", exit.String(), "ran", exit.Lived.String()), slog.LevelError
	switch reason {
	case ReasonStop, ReasonRestart:
		s.backoff.Ran(exit.Lived)
		s.wait, level = 0, slog.LevelInfo
	default:
		end.Cause = s.diagnose()
		s.wait = s.backoff.Failed(exit.Lived)
	}
	if end.Cause != nil {
		log = log.With("cause", end.Cause.ID, "detail", end.Cause.Detail)
	}
	if reason == ReasonOOM {
		log = log.With("max_rss_bytes", exit.MaxRSS, "hint", "raise the container's memory limit")
	}
	s.update(func(st *Status) {
		st.Phase, st.PID, st.Last, st.Cause = Waiting, 0, &end, nil
		if reason != ReasonStop {
			st.Next = time.Now().Add(s.wait)
		}
		st.Exits[reason]++
		st.Failing = s.backoff.Exhausted()
	})
	if reason != ReasonStop {
		log = log.With("next", s.wait.String())
	}
	log.Log(context.Background(), level, "ended")
}

// end stops the process: TERM, and KILL when the grace is over.
func (s *Service) end(p *child.Process) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} { // a stopped one could not end
		if err := p.Signal(sig); err != nil {
			s.cfg.Log.Warn("cannot be stopped", "pid", p.PID, "err", err)
		}
	}
	timer := time.NewTimer(s.cfg.Grace)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		s.cfg.Log.Warn("did not stop on SIGTERM, killing it", "pid", p.PID, "grace", s.cfg.Grace.String())
		if err := p.Signal(syscall.SIGKILL); err != nil {
			s.cfg.Log.Error("cannot be killed", "pid", p.PID, "err", err)
		}
	}
}

func (s *Service) diagnose() *Cause {
	if s.cfg.Diagnose == nil {
		return nil
	}
	return s.cfg.Diagnose()
}
