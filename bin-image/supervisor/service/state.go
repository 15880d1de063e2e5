package service

import (
	"fmt"
	"syscall"
	"time"

	"okteto/bin-image/supervisor/child"
)

// Phase of a service.
type Phase string

const (
	// Waiting for its first start, or between two runs.
	Waiting Phase = "waiting"
	// Starting: the process runs and does not answer yet.
	Starting Phase = "starting"
	// Ready: the process runs and has answered.
	Ready Phase = "ready"
	// Unresponsive: the process runs and has stopped answering.
	Unresponsive Phase = "unresponsive"
	// Stopped on request.
	Stopped Phase = "stopped"
)

// Reason for an exit, as in logs and in the label "reason" of the metrics.
type Reason string

const (
	// ReasonExit is an exit code that nobody asked for, 0 included: a service
	// has no end of its own.
	ReasonExit Reason = "exit"
	// ReasonSignal is a signal from elsewhere.
	ReasonSignal Reason = "signal"
	// ReasonOOM is a kill by the kernel because the container's memory ran out.
	ReasonOOM Reason = "oom"
	// ReasonStart is a process that could not be started.
	ReasonStart Reason = "start"
	// ReasonRestart is a restart that the service itself asked for.
	ReasonRestart Reason = "restart"
	// ReasonStop is the end of the supervisor.
	ReasonStop Reason = "stop"
	// ReasonUnresponsive is the end of a process that answered no more.
	ReasonUnresponsive Reason = "unresponsive"
)

// Reasons lists them all, so that metrics can start at zero.
func Reasons() []Reason {
	return []Reason{ReasonExit, ReasonSignal, ReasonOOM, ReasonStart, ReasonRestart, ReasonStop, ReasonUnresponsive}
}

// Ended is an end of a run.
type Ended struct {
	Reason Reason
	// Exit is meaningless with ReasonStart.
	Exit child.Exit
	At   time.Time
	// Cause is what was found to be wrong, or nil: see Config.Diagnose.
	Cause *Cause
}

// Cause of a failure as found by looking at the facts.
type Cause struct {
	// ID is short and fixed: "config-missing", "port-in-use".
	ID string
	// Detail is for the log. It may name files and processes.
	Detail string
}

// String explains the end without naming files: it is shown on the pod network.
func (e Ended) String() string {
	text := ""
	switch e.Reason {
	case ReasonOOM:
		text = "killed by the kernel: out of memory"
	case ReasonStart:
		text = "cannot be started"
	case ReasonRestart:
		text = "restarting at its own request"
	case ReasonUnresponsive:
		text = "ended because it did not answer"
	default:
		text = "ended with " + e.Exit.String()
	}
	if e.Cause != nil {
		text += " (" + e.Cause.ID + ")"
	}
	return text
}

// Status is a snapshot of a service.
type Status struct {
	Name     string
	Phase    Phase
	PID      int // 0 unless a process runs
	Started  time.Time
	Restarts uint64
	Exits    map[Reason]uint64
	Last     *Ended
	// Next start, when waiting after a failure.
	Next time.Time
	// Failing says that the restart budget is used up.
	Failing bool
	// Cause found while the service runs without getting ready.
	Cause *Cause
}

// Summary is one line on how the service is, without file names.
func (s Status) Summary() string {
	switch s.Phase {
	case Ready:
		if s.Last == nil {
			return "ok"
		}
		return fmt.Sprintf("ok; restarts so far: %d, before the last: %s", s.Restarts, s.Last)
	case Starting:
		text := "starting"
		if s.Cause != nil {
			text += " (" + s.Cause.ID + ")"
		}
		if s.Last != nil {
			text += "; before that: " + s.Last.String()
		}
		return text
	case Waiting:
		if s.Last == nil {
			return "not started yet"
		}
		text := s.Last.String()
		if wait := time.Until(s.Next).Round(100 * time.Millisecond); wait > 0 {
			text += fmt.Sprintf("; next start in %s, restarts so far: %d", wait, s.Restarts)
		}
		return text
	default:
		return string(s.Phase)
	}
}

// Status is a snapshot.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Exits = make(map[Reason]uint64, len(s.status.Exits))
	for k, v := range s.status.Exits {
		status.Exits[k] = v
	}
	return status
}

func (s *Service) update(change func(*Status)) {
	s.mu.Lock()
	change(&s.status)
	s.mu.Unlock()
}

// reason classifies an end. killed says that the kernel has killed a process
// for memory lately: its weapon is SIGKILL.
func (s *Service) reason(exit child.Exit, killed bool) Reason {
	switch {
	case exit.Signal == syscall.SIGKILL && killed:
		return ReasonOOM
	case exit.Signal != 0:
		return ReasonSignal
	case s.cfg.RestartCode != 0 && exit.Code == s.cfg.RestartCode:
		return ReasonRestart
	default:
		return ReasonExit
	}
}
