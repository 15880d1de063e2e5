// Command up measures how `okteto up` lives on the cluster that `make cluster`
// made: the time to ready, the time until work goes on after a fault, and what the
// programs use while nothing happens. Beside each figure stands what the original
// (CLI 3.22, Syncthing 2.1.2) took for the same on the same kind of machine, where
// that was measured, and the target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/testkit/proxy"
)

const namespace = "okteto-bench-up"

func main() {
	rounds := flag.Int("rounds", 5, "times that each thing is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench up:", err)
		os.Exit(1)
	}
}

// bench is one developer with the sample application.
type bench struct {
	*harness.Sample
	cluster *harness.Cluster
	cli     *harness.CLI
	// way is between the developer and the API server.
	way    *proxy.Proxy
	out    io.Writer
	rounds int
}

func run(ctx context.Context, out io.Writer, rounds int) (err error) {
	folder, err := os.MkdirTemp("", "okteto-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the project: %w", err)
	}
	defer os.RemoveAll(folder)
	b := &bench{out: out, rounds: rounds}
	if b.cluster, err = harness.Connect(); err != nil {
		return err
	}
	if b.cli, b.Sample, err = b.cluster.FreshSample(ctx, folder, namespace); err != nil {
		return err
	}
	direct := b.cli.Kubeconfig
	if b.way, err = harness.PutProxyBetween(b.cli, folder); err != nil {
		return err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		b.cli.Kubeconfig = direct
		_, downErr := b.cli.Succeed(ctx, "down")
		b.way.Close()
		err = errors.Join(err, downErr, b.cluster.DeleteNamespace(ctx, namespace))
	}()
	fmt.Fprintf(out, "%-76s %9s %9s   %-18s %s\n", "", "median", "max", "original, ratio", "target")
	for _, part := range []func(context.Context) error{b.ready, b.faults, b.idle} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ready measures up to ready, and leaves it up.
func (b *bench) ready(ctx context.Context) error {
	var took []time.Duration
	for i := range b.rounds {
		if i > 0 {
			if _, err := b.cli.Succeed(ctx, "down"); err != nil {
				return err
			}
			if err := b.WaitRestored(ctx); err != nil {
				return err
			}
		}
		result, err := b.cli.Succeed(ctx, "up", "--detach")
		if err != nil {
			return err
		}
		took = append(took, result.Took)
	}
	b.row("okteto up to ready, images present, tiny tree", took, 7200*time.Millisecond, 3600*time.Millisecond)
	return nil
}
