// Command clean ends what an earlier `okteto up` has left running in the dev
// container, so that its command does not run twice. The CLI runs it through the
// Kubernetes exec API at each activation, before the command.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"okteto/bin-image/clean/sweep"
	"okteto/internal/goenv"
)

func main() {
	goenv.Shed()
	if len(os.Args) > 1 {
		// Whoever asks for help does not ask for everything to be ended.
		fmt.Fprintln(os.Stderr, "usage: clean (no arguments): ends what an earlier `okteto up` has left running in this dev container")
		os.Exit(2)
	}
	opts := sweep.Options{}
	if executable, err := os.Executable(); err == nil {
		opts.BinDir = filepath.Dir(executable)
	}
	if err := sweep.Run(context.Background(), opts); err != nil {
		fmt.Fprintln(os.Stderr, "clean:", err)
		os.Exit(1)
	}
}
