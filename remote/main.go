// Command okteto-remote is the SSH server of a dev container.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"okteto/internal/goenv"
	"okteto/internal/threads"
	"okteto/remote/files"
)

func main() {
	goenv.Shed()
	if filepath.Base(os.Args[0]) == "scp" {
		// Sessions run this program under this name where the image has no scp.
		os.Exit(files.SCP(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	threads.Reserve(16)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr))
}
