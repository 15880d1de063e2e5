// Command syncthing is the pod's end of the synchronization. It takes the place
// of Syncthing's own program in the image: the same name, the same files, the
// same REST interface, around our engine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"okteto/internal/threads"
)

func main() {
	threads.Reserve(16)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	options, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = options.Validate()
	}
	if err == nil {
		err = Run(ctx, options)
	}
	os.Exit(report(os.Stderr, err))
}

// report prints an error once and says the exit status.
func report(out *os.File, err error) int {
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(out, "error:", err)
	return 1
}
