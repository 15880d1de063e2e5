//go:build !windows

package ui

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// What a signal ends has the exit code that shells give to it, and keeps what it
// says itself.
func TestInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			ctx, stop := NotifyContext(t.Context(), s)
			defer stop()
			if err := syscall.Kill(syscall.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
				t.Fatal("the signal does not end the context")
			}
			want := 128 + int(s)
			if got := InterruptCode(ctx); got != want {
				t.Errorf("InterruptCode = %d, want %d", got, want)
			}
			for _, err := range []error{
				ctx.Err(), context.Cause(ctx), fmt.Errorf("ask the cluster: %w", ctx.Err()),
				&Problem{Summary: "half of it was done", Cause: ctx.Err()},
			} {
				var problem *Problem
				if got := Interrupted(ctx, err); !errors.As(got, &problem) || problem.Code != want {
					t.Errorf("Interrupted(%v) = %#v, want exit code %d", err, got, want)
				}
			}
			own := &Problem{Summary: "x", Cause: ctx.Err(), Code: 7}
			if got := Interrupted(ctx, own); got.(*Problem).Code != 7 {
				t.Errorf("a code of its own is lost: %#v", got)
			}
			for _, err := range []error{nil, errors.New("a failure"), &ExitError{Code: 5}} {
				if got := Interrupted(ctx, err); !errors.Is(got, err) {
					t.Errorf("Interrupted(%v) = %v", err, got)
				}
			}
		})
	}
}

// Without a signal nothing was interrupted.
func TestNotInterrupted(t *testing.T) {
	ctx, stop := NotifyContext(t.Context(), syscall.SIGINT)
	stop()
	if err := ctx.Err(); Interrupted(ctx, err) != err {
		t.Errorf("Interrupted = %v", Interrupted(ctx, err))
	}
}
