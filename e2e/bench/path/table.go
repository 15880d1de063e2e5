package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

type options struct {
	saves int
	noise bool
	// files and large are the sizes of the trees to measure with, in place of
	// the rest; 0 for none.
	files, large int
}

// Medians of the original, measured on the same kind of machine with the same
// work: CLI 3.22 with its own images and Syncthing 2.1.2.
const (
	originalUp     = 7200 * time.Millisecond
	originalToPod  = 2015 * time.Millisecond
	originalToHost = 2018 * time.Millisecond
)

// sample is the durations of one series.
type sample []time.Duration

// quantile by the nearest rank; the sample must not be empty.
func (s sample) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	folder, err := os.MkdirTemp("", "okteto-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the project: %w", err)
	}
	defer os.RemoveAll(folder)
	e, err := newEnvironment(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop(context.WithoutCancel(ctx))) }()
	if o.files > 0 {
		return e.trees(ctx, out, o)
	}
	if err := e.measureUp(ctx, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%-42s %8s %8s %8s %8s   %s\n", "save, until the other side has it", "p50", "p90", "p95", "max", "original p50, ratio")
	for _, c := range []struct {
		name     string
		from, to string
		write    save
		noise    bool
		original time.Duration
	}{
		{"laptop to pod, plain", e.laptop, e.pod, plain, false, originalToPod},
		{"laptop to pod, atomic", e.laptop, e.pod, atomic, false, originalToPod},
		{"laptop to pod, delete and recreate", e.laptop, e.pod, recreate, false, originalToPod},
		{"pod to laptop, plain", e.pod, e.laptop, plain, false, originalToHost},
		{"pod to laptop, atomic", e.pod, e.laptop, atomic, false, originalToHost},
		{"laptop to pod, plain, 20 other files a second", e.laptop, e.pod, plain, true, originalToPod},
	} {
		if c.noise && !o.noise {
			continue
		}
		took, err := e.measure(ctx, c.from, c.to, c.write, o.saves, c.noise)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(out, "%-42s %8s %8s %8s %8s   %s, %.4f\n", c.name,
			ms(took.quantile(0.5)), ms(took.quantile(0.9)), ms(took.quantile(0.95)), ms(took.quantile(1)),
			ms(c.original), took.quantile(0.5).Seconds()/c.original.Seconds())
	}
	return nil
}

func (e *environment) measure(ctx context.Context, from, to string, write save, n int, noise bool) (sample, error) {
	if !noise {
		return series(ctx, from, to, write, n)
	}
	noiseCtx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return disturb(noiseCtx, filepath.Join(from, "noise")) })
	took, err := series(ctx, from, to, write, n)
	stop()
	return took, errors.Join(err, group.Wait())
}

// measureUp brings the environment up five times and leaves it up.
func (e *environment) measureUp(ctx context.Context, out io.Writer) error {
	var took sample
	for i := range 5 {
		if i > 0 {
			if err := e.down(ctx); err != nil {
				return err
			}
		}
		if err := e.start(ctx); err != nil {
			return err
		}
		took = append(took, e.up)
	}
	median := took.quantile(0.5)
	fmt.Fprintf(out, "okteto up to ready, images present, tiny tree: median %s, max %s; original %s, ratio %.2f\n",
		ms(median), ms(took.quantile(1)), ms(originalUp), median.Seconds()/originalUp.Seconds())
	return nil
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
