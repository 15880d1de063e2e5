// Command path measures the whole path on the cluster that `make cluster` made:
// how long `okteto up` takes to ready, and how long a save takes from the laptop
// to the pod and back, through port-forward, SSH and both engines. The clock is
// one clock: the pod's files are watched through /proc of this machine, which
// runs the cluster's nodes.
//
// Beside each figure stands what the original (CLI 3.22, Syncthing 2.1.2) took
// for the same work on the same kind of machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	saves := flag.Int("saves", 100, "saves per kind")
	noise := flag.Bool("noise", true, "also measure saves while something else writes 20 files a second")
	files := flag.Int("files", 0, "measure with a tree of this many files instead: first synchronization, restart")
	large := flag.Int("large", 100_000, "files of the large tree that saves are measured in, with -files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, options{saves: *saves, noise: *noise, files: *files, large: *large}); err != nil {
		fmt.Fprintln(os.Stderr, "bench path:", err)
		os.Exit(1)
	}
}
