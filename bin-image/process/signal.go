package process

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signal sends a signal to exactly the process that was seen: a pidfd is opened
// first and the start time compared after that, so that a pid that was used
// again meanwhile is not hit (pidfd_open(2), pidfd_send_signal(2); kernels
// before 5.3 have to do without). A process that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		if !p.Same() {
			return nil
		}
		err = syscall.Kill(p.PID, sig)
	case err != nil:
	default:
		defer unix.Close(fd)
		if !p.Same() {
			return nil
		}
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.PID, err)
	}
	return nil
}

// End sends TERM to the processes, KILL after the grace to those that are still
// there, and returns those that are there after that. Stopped ones are continued,
// since they could not end otherwise.
func End(ctx context.Context, processes []*Process, grace time.Duration) (left []*Process) {
	for _, p := range processes {
		_ = p.Signal(syscall.SIGTERM)
		_ = p.Signal(syscall.SIGCONT)
	}
	left = wait(ctx, processes, grace)
	for _, p := range left {
		_ = p.Signal(syscall.SIGKILL)
	}
	if len(left) == 0 {
		return nil
	}
	return wait(ctx, left, time.Second)
}

// wait returns those that have not ended when the time is over.
func wait(ctx context.Context, processes []*Process, limit time.Duration) []*Process {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		var left []*Process
		for _, p := range processes {
			if p.Same() {
				left = append(left, p)
			}
		}
		processes = left
		if len(left) == 0 {
			return nil
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return left
		case <-ctx.Done():
			return left
		}
	}
}
