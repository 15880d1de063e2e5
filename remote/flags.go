package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"okteto/internal/contract"
	"okteto/internal/goenv"
	"okteto/remote/sshd"
)

// envPrefix and a flag's name in upper case make the environment variable that
// sets it: --port is OKTETO_REMOTE_PORT. A flag on the command line wins.
const envPrefix = "OKTETO_REMOTE_"

const usage = `okteto-remote is the SSH server of a dev container. It lets in whoever owns one
of the authorized keys, under any user name, as the user it runs as.

Usage: okteto-remote [flags]

`

// Exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts, err := parse(args[1:], getenv, stdout, stderr)
	if errors.Is(err, errDone) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "okteto-remote:", err)
		return exitUsage
	}
	cleanInheritance()
	if err := sshd.Run(ctx, opts); err != nil {
		fmt.Fprintln(stderr, "okteto-remote:", err)
		return exitFailure
	}
	return exitOK
}

// errDone is returned when there is nothing to run (--help, --version).
var errDone = errors.New("done")

func parse(args []string, getenv func(string) string, stdout, stderr io.Writer) (sshd.Options, error) {
	o := sshd.Defaults()
	fs := flag.NewFlagSet("okteto-remote", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	version := fs.Bool("version", false, "print the version and exit")
	verbose := fs.Bool("verbose", false, "log details")
	acceptEnv := fs.String("accept-env", "", "further variables clients may set: names, or prefixes ending in *, separated by commas")
	define(fs, &o)

	var problems []error
	fs.VisitAll(func(f *flag.Flag) {
		v := getenv(envName(f.Name))
		if v == "" || f.Name == "version" {
			return
		}
		if err := fs.Set(f.Name, v); err != nil {
			problems = append(problems, fmt.Errorf("%s=%q: %w", envName(f.Name), v, err))
		}
	})
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		help(fs, stdout)
		return o, errDone
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q (see --help)", fs.Arg(0))
	}
	if *version {
		fmt.Fprintln(stdout, "okteto-remote", contract.Version)
		return o, errDone
	}
	o.Subsystems = subsystems()
	o.Environ = goenv.Environ()
	o.AcceptEnv = strings.FieldsFunc(*acceptEnv, func(r rune) bool { return r == ',' || r == ' ' })
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	o.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	return o, errors.Join(append(problems, err)...)
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// define binds the flags to the options.
func define(fs *flag.FlagSet, o *sshd.Options) {
	fs.StringVar(&o.Address, "address", o.Address, "IP `address` to listen on; 0.0.0.0 opens the server beyond the pod's loopback")
	fs.IntVar(&o.Port, "port", o.Port, "`port` to listen on")
	fs.StringVar(&o.AuthorizedKeys, "authorized-keys", o.AuthorizedKeys, "`file` of the keys that may log in, in OpenSSH's format; read anew for each login")
	fs.StringVar(&o.HostKey, "host-key", o.HostKey, "`file` of the private host key; made if it does not exist")
	fs.StringVar(&o.MetricsSocket, "metrics-socket", o.MetricsSocket, "unix `socket` that serves /metrics; empty for none")
	fs.StringVar(&o.AgentSocket, "agent-socket", o.AgentSocket, "`path` that always leads to the newest forwarded SSH agent")
	fs.BoolVar(&o.AllowRSASHA1, "allow-rsa-sha1", o.AllowRSASHA1, "accept RSA signatures with SHA-1, for okteto CLI 1.9 to 1.13")
	fs.DurationVar(&o.HandshakeTimeout, "handshake-timeout", o.HandshakeTimeout, "time a client has to log in")
	fs.IntVar(&o.MaxUnauthenticated, "max-unauthenticated", o.MaxUnauthenticated, "connections that have not logged in; beyond, the oldest is dropped")
	fs.IntVar(&o.MaxSessions, "max-sessions", o.MaxSessions, "sessions on one connection")
	fs.IntVar(&o.MaxForwards, "max-forwards", o.MaxForwards, "forwarded connections on one connection")
	fs.IntVar(&o.MaxListeners, "max-listeners", o.MaxListeners, "remote forwards on one connection")
	fs.DurationVar(&o.KeepaliveInterval, "keepalive-interval", o.KeepaliveInterval, "time without a sign of life before a client is asked for one")
	fs.IntVar(&o.KeepaliveMisses, "keepalive-misses", o.KeepaliveMisses, "unanswered intervals before a client is dropped")
	fs.BoolVar(&o.LoopbackForwards, "loopback-forwards", o.LoopbackForwards, "make remote forwards listen on loopback whatever the client asks for")
	fs.DurationVar(&o.DialTimeout, "dial-timeout", o.DialTimeout, "time the target of a forward has to accept")
	fs.DurationVar(&o.DrainTimeout, "drain-timeout", o.DrainTimeout, "time sessions have to end at shutdown")
	fs.StringVar(&o.WorkDir, "work-dir", o.WorkDir, "`directory` sessions start in")
	fs.BoolVar(&o.LoginShell, "login-shell", o.LoginShell, "start interactive shells as login shells")
	fs.DurationVar(&o.TerminalGrace, "terminal-grace", o.TerminalGrace, "time a persistent terminal waits for its client")
	fs.IntVar(&o.MaxTerminals, "max-terminals", o.MaxTerminals, "persistent terminals; 0 turns them off")
	fs.IntVar(&o.TerminalBuffer, "terminal-buffer", o.TerminalBuffer, "`bytes` of recent output kept for each persistent terminal")
}

func help(fs *flag.FlagSet, w io.Writer) {
	fmt.Fprint(w, usage)
	fs.VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		if name != "" {
			name = " " + name
		}
		fmt.Fprintf(w, "  --%s%s\n      %s\n", f.Name, name, text)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(w, "      default %s\n", f.DefValue)
		}
		if f.Name != "version" {
			fmt.Fprintf(w, "      env %s\n", envName(f.Name))
		}
	})
}
