// Package terminal runs a command in the pod over SSH and joins it to the streams
// of this process: with a terminal when there is one, else with plain streams
// that are passed on byte for byte, and with the command's true exit code.
//
// A named terminal lives in the pod. When the connection is lost it is attached
// again as soon as there is a new one, with the output that came meanwhile.
package terminal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kballard/go-shellquote"
	"golang.org/x/crypto/ssh"

	"okteto/cli/tunnel"
	"okteto/cli/ui"
)

// signalled plus a signal's number is the exit code of what it ended, as shells
// have it.
const signalled = 128

// ExitUnknown is the exit code for a command whose own is not known, as ssh(1) has
// it.
const ExitUnknown = 255

// endGrace is how long a command may take to end after this process was told to.
const endGrace = 5 * time.Second

// size of a terminal that nobody looks at; the original's (pkg/ssh/exec.go).
const (
	defaultRows    = 80
	defaultColumns = 200
)

// Options of Run.
type Options struct {
	// Connect returns the SSH connection to use, and waits until there is one.
	Connect func(context.Context) (*tunnel.Client, error)
	// Command is given to the shell in the pod; "" is an interactive shell.
	Command string
	// TTY asks for a terminal in the pod. If Streams.In and Streams.Out are
	// terminals themselves they are joined to it in raw mode.
	TTY bool
	// ID names the terminal, so that it outlives its connection. Only with TTY.
	ID string
	// AgentSocket is the socket of an SSH agent to forward, or "".
	AgentSocket string
	Streams     ui.Streams
	Log         *slog.Logger
	// Quiet leaves it to the caller to say that the connection was lost.
	Quiet bool
	// Once keeps the command from being run a second time when its terminal is gone
	// with its container: the error is then ErrGone.
	Once bool
	// Started, if not nil, is called when the command runs. again says that it
	// is after a loss of the connection.
	Started func(again bool)
}

// Join makes one shell command of arguments. A single argument is a command line
// already, as `ssh` and the seed's `okteto exec` take it.
func Join(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return Quote(args)
}

// Quote makes the shell command that runs exactly these arguments.
func Quote(args []string) string { return shellquote.Join(args...) }

// ErrLost says that the connection ended before the command did.
var ErrLost = errors.New("connection to the pod lost before the command ended")

// ErrGone says that the command was ended together with its container. It is an
// ErrLost.
var ErrGone = fmt.Errorf("the command is gone with its container: %w", ErrLost)

// ErrLeft says that the user left the terminal: by ~., or by Ctrl-C while there
// was no connection.
var ErrLeft = errors.New("left the terminal")

// Run runs the command to its end and returns its exit code. SIGINT, SIGTERM and
// SIGHUP of this process are passed on to the command. When ctx ends, so does the
// command.
func Run(ctx context.Context, o Options) (int, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if !o.TTY {
		o.ID = ""
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, passedOn()...)
	defer signal.Stop(signals)

	r := &run{Options: o, signals: signals, input: newInput(o.Streams.In), name: rand.Text(), out: &counter{to: o.Streams.Out}}
	if o.TTY {
		restore, err := r.raw()
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	defer r.input.close()
	r.input.named = o.ID != ""
	for again := false; ; again = true {
		code, err := r.once(ctx, again)
		if !errors.Is(err, ErrLost) || errors.Is(err, ErrGone) || o.ID == "" {
			return code, err
		}
		o.Log.Info("terminal lost its connection", "err", err)
		r.say("connection lost, reconnecting … (Ctrl-C gives up)")
	}
}

// Interactive reports whether both streams are terminals.
func Interactive(s ui.Streams) bool {
	_, in := ui.Terminal(s.In)
	_, out := ui.Terminal(s.Out)
	return in && out
}

// sshSignal is a signal's name on the wire (RFC 4254 6.10).
func sshSignal(s os.Signal) ssh.Signal {
	switch s {
	case os.Interrupt:
		return ssh.SIGINT
	case syscall.SIGHUP:
		return ssh.SIGHUP
	}
	return ssh.SIGTERM
}
