// Command okteto-supervisor is the first process of a dev container. It keeps
// the sync daemon and the SSH server alive, reaps the container's orphans, and
// serves metrics and health.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"okteto/bin-image/supervisor/environ"
	"okteto/bin-image/supervisor/tree"
	"okteto/internal/contract"
	"okteto/internal/threads"
)

func main() {
	threads.Reserve(12)
	container, environErr := environ.Container()
	opts, err := parse(os.Args[1:], container)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2)
	}
	if environErr != nil {
		fmt.Fprintln(os.Stderr, "okteto-supervisor: sessions see the environment as a shell left it:", environErr)
	}
	// The end of a terminal or of the log's reader is nothing to die of. They are
	// caught and dropped, not ignored: every session would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	if err := tree.Run(ctx, opts); err != nil {
		fmt.Fprintln(os.Stderr, "okteto-supervisor:", err)
		os.Exit(1)
	}
}

// sigRTMin is the first real-time signal for programs (signal(7)): the C library
// keeps two of the kernel's 32 and up to itself.
const sigRTMin = syscall.Signal(34)

// stopSignals are what container runtimes end a container with: TERM, or what its
// image names instead (STOPSIGNAL), which are QUIT with nginx, INT with postgres and
// RTMIN+3 with systemd. Go would end with a stack trace on the first. Those that also
// mean something else to their program, as WINCH with httpd, end nothing here.
func stopSignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, sigRTMin + 3}
}

func parse(args, container []string) (tree.Options, error) {
	opts := tree.Options{Environ: container}
	flags := flag.NewFlagSet(contract.SupervisorBinary, flag.ContinueOnError)
	flags.BoolVar(&opts.Remote, "remote", false, "also run the SSH server")
	flags.BoolVar(&opts.Reset, "reset", false, "drop the sync database before the first start")
	flags.BoolVar(&opts.Verbose, "verbose", true, "log at debug level")
	flags.StringVar(&opts.BinDir, "bin-dir", "", "`directory` of the agents (default: that of this program)")
	flags.DurationVar(&opts.Grace, "grace", 0, "time for the services to end on TERM (default 4s)")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { usage(flags) }
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(flags.Output(), "%s: unexpected argument %q; see --help\n", contract.SupervisorBinary, flags.Arg(0))
		return opts, errors.ErrUnsupported
	}
	if *version {
		fmt.Println(contract.Version)
		return opts, flag.ErrHelp
	}
	opts.FromEnvironment(environ.Lookup(container))
	return opts, nil
}

func usage(flags *flag.FlagSet) {
	fmt.Fprintf(flags.Output(), `%s keeps the agents of a dev container alive.

It starts %s, and %s with --remote, from its own directory, and starts
them again whenever they end. It serves /metrics, /healthz and /readyz.

Flags:
`, contract.SupervisorBinary, contract.SyncthingBinary, contract.RemoteBinary)
	flags.PrintDefaults()
	fmt.Fprintf(flags.Output(), `
Environment:
  %-24s host:port of metrics and health (default :%d), or off
  %-24s port of the SSH server (default %d)
  %-24s address of the SSH server (default loopback)

Exit codes: 0 everything was asked to end and did, 1 it failed or something had
to be killed, 2 the command line is wrong.
`, contract.EnvMetricsAddress, contract.MetricsPort, contract.EnvRemotePort, contract.SSHPort, contract.EnvRemoteAddress)
}
