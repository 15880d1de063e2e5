package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// Options of a run.
type Options struct {
	Laptop, Pod                       string
	Saves, Burst, Files, Rounds, Tree int
}

// Validate reports what cannot work.
func (o Options) Validate() error {
	if (o.Laptop == "") != (o.Pod == "") {
		return errors.New("-laptop and -pod belong together")
	}
	if o.Saves < 1 || o.Rounds < 1 || o.Burst < 1 || o.Files < 1 {
		return errors.New("numbers must be positive")
	}
	return nil
}

// Run measures and prints.
func Run(ctx context.Context, o Options, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "WHAT\tP50\tP95\tMAX\tREFERENCE")
	if o.Laptop != "" {
		return saves(ctx, w, o, o.Laptop, o.Pod)
	}
	base, err := os.MkdirTemp("", "okteto-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	if err := pairSaves(ctx, w, o, base); err != nil {
		return err
	}
	return first(ctx, w, o, base)
}

// figures of one measurement.
type figures []time.Duration

func (f figures) at(percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(f))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func (f figures) print(w io.Writer, what, reference string) {
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", what, ms(f.at(50)), ms(f.at(95)), ms(f.at(100)), reference)
	if flusher, ok := w.(*tabwriter.Writer); ok {
		flusher.Flush()
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
