package ui

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// codeInterrupted is the exit code after Ctrl-C, as shells have it: 128 and the
// signal's number.
const codeInterrupted = 130

// SignalError is the cause of a context that a signal to this process has ended.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "ended by a signal: " + e.Signal.String() }

// Unwrap makes it one of the ways in which a context is cancelled.
func (e *SignalError) Unwrap() error { return context.Canceled }

// Code is the exit code of a process that the signal ended: 128+n.
func (e *SignalError) Code() int {
	if n, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return codeInterrupted
}

// NotifyContext returns a context that the first of the signals ends, with a
// *SignalError as its cause. Later ones change nothing. stop gives the signals back
// and must be called.
func NotifyContext(parent context.Context, signals ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-received:
			cancel(&SignalError{Signal: s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		cancel(nil)
		<-done
	}
}

// InterruptCode is the exit code for who gives up because ctx has ended: that of the
// signal that ended it, 130 where that is not known.
func InterruptCode(ctx context.Context) int {
	if e := (*SignalError)(nil); errors.As(context.Cause(ctx), &e) {
		return e.Code()
	}
	return codeInterrupted
}

// Interrupted is what err is to the user when a signal has ended ctx meanwhile: that
// the work was given up, with the signal's exit code. Anything that is no
// consequence of that is returned as it is.
func Interrupted(ctx context.Context, err error) error {
	var ended *SignalError
	if !errors.As(context.Cause(ctx), &ended) || !errors.Is(err, context.Canceled) {
		return err
	}
	if exit := (*ExitError)(nil); errors.As(err, &exit) {
		return err
	}
	problem := Problem{Summary: "interrupted"}
	if known := (*Problem)(nil); errors.As(err, &known) {
		problem = *known
	}
	problem.Code = cmp.Or(problem.Code, ended.Code())
	return &problem
}
