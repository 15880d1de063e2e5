package service

import (
	"context"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"okteto/bin-image/supervisor/child"
)

// How often a starting service is asked: often at first, since it mostly takes
// milliseconds.
const (
	firstProbe = 10 * time.Millisecond
	slowProbe  = 500 * time.Millisecond
	// slowStart is when a service that does not answer is looked into.
	slowStart = 5 * time.Second
)

// watch follows a run until the process ends, ctx is done, or it is found hung,
// which is what it returns.
func (s *Service) watch(ctx context.Context, p *child.Process) (hung bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdict := make(chan struct{})
	prober := make(chan struct{})
	go func() {
		defer close(prober)
		s.probe(ctx, p, verdict)
	}()
	defer func() {
		cancel()
		<-prober
	}()
	select {
	case <-p.Done():
		return false
	case <-verdict:
		return true
	case <-ctx.Done():
		return false
	}
}

// probe keeps the phase up to date and closes hung when the service has not
// answered for too long.
func (s *Service) probe(ctx context.Context, p *child.Process, hung chan<- struct{}) {
	if s.cfg.Probe == nil {
		s.update(func(st *Status) { st.Phase = Ready })
		return
	}
	every, ready, looked := firstProbe, false, false
	answered := time.Now()
	for {
		s.kills.note()
		s.resume(p)
		err := s.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			answered = time.Now()
			every = s.cfg.ProbeEvery
			s.turnReady(p, ready)
			ready = true
		case ready:
			every = min(s.cfg.ProbeEvery, time.Second)
			s.turnUnresponsive(p, err)
			if s.cfg.Hung > 0 && time.Since(answered) > s.cfg.Hung {
				close(hung)
				return
			}
		default:
			every = min(every*3/2, slowProbe)
			if !looked && time.Since(p.Started) > slowStart {
				looked = true
				s.lookInto(p, err)
			}
		}
		timer := time.NewTimer(every)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// resume continues a process that was stopped (signal(7)): it hangs, but has lost
// nothing, and its sessions end only with it.
func (s *Service) resume(p *child.Process) {
	proc, err := procfs.NewProc(p.PID)
	if err != nil {
		return
	}
	if stat, err := proc.Stat(); err != nil || stat.State != "T" {
		return
	}
	s.cfg.Log.Warn("was stopped by a signal, continuing it", "pid", p.PID)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		s.cfg.Log.Error("cannot be continued", "pid", p.PID, "err", err)
	}
}

func (s *Service) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ProbeTimeout)
	defer cancel()
	return s.cfg.Probe(ctx)
}

func (s *Service) turnReady(p *child.Process, before bool) {
	was := Ready
	s.update(func(st *Status) {
		was = st.Phase
		st.Phase, st.Cause, st.Failing = Ready, nil, false
	})
	switch {
	case was == Ready:
	case before:
		s.cfg.Log.Info("answers again", "pid", p.PID)
	default:
		s.cfg.Log.Info("ready", "pid", p.PID, "after", time.Since(p.Started).Round(time.Millisecond).String())
	}
}

func (s *Service) turnUnresponsive(p *child.Process, err error) {
	was := Unresponsive
	s.update(func(st *Status) {
		was = st.Phase
		st.Phase = Unresponsive
	})
	if was != Unresponsive {
		s.cfg.Log.Warn("does not answer", "pid", p.PID, "err", err)
	}
}

// lookInto says why a service may be slow to start.
func (s *Service) lookInto(p *child.Process, err error) {
	cause := s.diagnose()
	s.update(func(st *Status) { st.Cause = cause })
	log := s.cfg.Log.With("pid", p.PID, "err", err)
	if cause != nil {
		log = log.With("cause", cause.ID, "detail", cause.Detail)
	}
	log.Warn("runs but does not answer yet")
}
