// Command sync measures the file synchronization and prints a table: how long a
// save takes, a burst of files, a first synchronization and a restart, beside
// tar and rsync where they are installed.
//
//	go run -tags noassets ./e2e/bench/sync                     a pair on this machine
//	go run -tags noassets ./e2e/bench/sync -laptop DIR -pod DIR
//
// The second form measures a synchronization that runs already, such as through
// a cluster on this machine: -laptop is the synchronized folder, -pod the
// container's as this machine sees it (/proc/PID/root/app).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o Options
	flag.StringVar(&o.Laptop, "laptop", "", "synchronized folder of a running synchronization")
	flag.StringVar(&o.Pod, "pod", "", "the container's folder, as this machine sees it")
	flag.IntVar(&o.Saves, "saves", 100, "saves of each kind")
	flag.IntVar(&o.Burst, "burst", 3000, "files of a burst")
	flag.IntVar(&o.Files, "files", 20000, "files of a first synchronization")
	flag.IntVar(&o.Rounds, "rounds", 5, "rounds of what is compared side by side")
	flag.IntVar(&o.Tree, "tree", 1000, "files that are there while saves are measured")
	flag.Parse()
	err := o.Validate()
	if err == nil {
		err = Run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
