package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

const (
	workdir = "/app"
	// look is the time between two looks, and so the error of a measurement.
	look = 5 * time.Millisecond
	// limit fails a run in which work never goes on.
	limit = time.Minute
	// outage is how long the way to the cluster is broken.
	outage = 30 * time.Second
)

// faults measures, for each fault, the time until a save lands in the pod again
// and the application answers through the forward.
func (b *bench) faults(ctx context.Context) error {
	for _, fault := range []struct {
		name string
		// do makes the fault. The clock runs from its end.
		do func(context.Context) error
		// other is whether the pod after it is another one.
		other            bool
		original, target time.Duration
	}{
		{"the pod is deleted", b.DeletePod, true, 11300 * time.Millisecond, 5 * time.Second},
		{"okteto-remote is killed", b.kill(contract.RemoteBinary), false, 7000 * time.Millisecond, 2 * time.Second},
		{"syncthing is killed", b.kill(contract.SyncthingBinary), false, 15900 * time.Millisecond, 3 * time.Second},
		{"the way is cut, refused for 30 s, and back", b.cut, false, 0, 2 * time.Second},
		{"the way swallows everything for 30 s, and is back", b.swallow, false, 0, 2 * time.Second},
	} {
		var saved, served []time.Duration
		for i := range b.rounds {
			before, err := b.settled(ctx)
			if err != nil {
				return fmt.Errorf("before %s: %w", fault.name, err)
			}
			if err := fault.do(ctx); err != nil {
				return err
			}
			text := fmt.Sprintf("%s, %d", fault.name, i)
			start := time.Now()
			if err := b.Say(text); err != nil {
				return err
			}
			if err := until(ctx, func() bool { return landed(text, fault.other, before) }); err != nil {
				return fmt.Errorf("after %s: %w", fault.name, err)
			}
			saved = append(saved, time.Since(start))
			if err := until(ctx, func() bool {
				got, err := b.Answer(ctx)
				return err == nil && strings.Contains(got, text)
			}); err != nil {
				return fmt.Errorf("after %s: %w", fault.name, err)
			}
			served = append(served, time.Since(start))
		}
		b.row("a save is in the pod after "+fault.name, saved, fault.original, fault.target)
		b.row("  the application serves it through the forward", served, 0, 0)
	}
	return nil
}

// settled waits until all is as it should be, and returns the pod's supervisor.
func (b *bench) settled(ctx context.Context) (supervisor int, err error) {
	err = until(ctx, func() bool {
		state, err := os.ReadFile(b.StateFile(contract.StateFile))
		if err != nil || string(state) != contract.StateReady {
			return false
		}
		agents, err := harness.OneAgents(namespace)
		if err != nil || len(agents.Children) != 2 {
			return false
		}
		supervisor = agents.Supervisor.PID
		return true
	})
	if err != nil {
		return 0, err
	}
	text := fmt.Sprint("settled at ", time.Now().UnixNano())
	if err := b.Say(text); err != nil {
		return 0, err
	}
	return supervisor, b.WaitSaid(ctx, text)
}

// landed looks for a saved text in the pod: with other, in another one than that
// of a supervisor.
func landed(text string, other bool, before int) bool {
	all, err := harness.FindAgents(namespace)
	if err != nil {
		return false
	}
	for _, agents := range all {
		if other && agents.Supervisor.PID == before {
			continue
		}
		content, err := os.ReadFile(filepath.Join(agents.Root(), workdir, "server.py"))
		if err == nil && strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}

func until(ctx context.Context, check func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("work did not go on"))
	defer cancel()
	for !check() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
	return nil
}

func (b *bench) kill(name string) func(context.Context) error {
	return func(context.Context) error { return harness.KillAgent(namespace, name) }
}

func (b *bench) cut(ctx context.Context) error {
	b.way.Refuse(true)
	b.way.Cut()
	defer b.way.Refuse(false)
	return sleep(ctx, outage)
}

func (b *bench) swallow(ctx context.Context) error {
	b.way.Stall(true)
	defer b.way.Stall(false)
	return sleep(ctx, outage)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// row prints a line of the table; original and target may be 0.
func (b *bench) row(name string, took []time.Duration, original, target time.Duration) {
	slices.Sort(took)
	median := took[len(took)/2]
	fmt.Fprintf(b.out, "%-76s %9s %9s", name, short(median), short(took[len(took)-1]))
	if original > 0 {
		fmt.Fprintf(b.out, "   %-18s", fmt.Sprintf("%s, %.2f", short(original), median.Seconds()/original.Seconds()))
	} else {
		fmt.Fprintf(b.out, "   %-18s", "")
	}
	if target > 0 {
		fmt.Fprint(b.out, " ", short(target))
	}
	fmt.Fprintln(b.out)
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
