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
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kballard/go-shellquote"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/term"

	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// signalled plus a signal's number is the exit code of what it ended, as shells
// have it.
const signalled = 128

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
	for again := false; ; again = true {
		code, err := r.once(ctx, again)
		if !errors.Is(err, ErrLost) || o.ID == "" {
			return code, err
		}
		o.Log.Info("terminal lost its connection", "err", err)
		r.say("connection lost, reconnecting … (Ctrl-C gives up)")
	}
}

// run is the state of one Run.
type run struct {
	Options
	signals chan os.Signal
	input   *input
	console *os.File          // the terminal in raw mode, nil if there is none
	modes   ssh.TerminalModes // its settings before
	// By name and by what it has had of its output a named terminal knows this run
	// again: it goes on from there.
	name string
	out  *counter
}

// raw puts the local terminal into raw mode, if the streams are one.
func (r *run) raw() (restore func(), err error) {
	in, ok := ui.Terminal(r.Streams.In)
	if !ok {
		return func() {}, nil
	}
	out, ok := ui.Terminal(r.Streams.Out)
	if !ok {
		return func() {}, nil
	}
	r.modes = localModes(in)
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	r.console = out
	r.input.escapes = true
	return func() { _ = term.Restore(int(in.Fd()), state) }, nil
}

// say prints a line between the command's output.
func (r *run) say(text string) {
	if r.console != nil && !r.Quiet {
		fmt.Fprintf(r.Streams.ErrOut, "\r\n! %s\r\n", text)
	}
}

func (r *run) size() (columns, rows int) {
	if r.console != nil {
		if columns, rows, err := term.GetSize(int(r.console.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return defaultColumns, defaultRows
}

// connect waits for a connection, or for the user to give up.
func (r *run) connect(ctx context.Context) (*tunnel.Client, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		client *tunnel.Client
		err    error
	}
	connected := make(chan outcome, 1)
	go func() {
		client, err := r.Connect(ctx)
		connected <- outcome{client, err}
	}()
	select {
	case o := <-connected:
		return o.client, o.err
	case s := <-r.signals:
		return nil, &ui.ExitError{Code: signalled + signalNumber(s)}
	case <-r.input.left:
		return nil, ErrLeft
	}
}

// once runs or attaches on one connection. The error is ErrLost if that ended
// first.
func (r *run) once(ctx context.Context, again bool) (int, error) {
	client, err := r.connect(ctx)
	if err != nil {
		return 0, err
	}
	session, err := client.NewSession()
	if err != nil {
		return 0, r.failure(client, fmt.Errorf("open session: %w", err))
	}
	defer session.Close()
	if r.AgentSocket != "" {
		r.forwardAgent(client, session)
	}
	if err := r.prepare(session); err != nil {
		return 0, r.failure(client, err)
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("open session: %w", err)
	}
	session.Stdout, session.Stderr = r.out, r.Streams.ErrOut
	if r.Command == "" {
		err = session.Shell()
	} else {
		err = session.Start(r.Command)
	}
	if err != nil {
		return 0, r.failure(client, fmt.Errorf("start command: %w", err))
	}
	if r.Started != nil {
		r.Started(again)
	}
	if again {
		r.say("connected again")
	}
	ended := make(chan struct{})
	defer close(ended)
	r.input.attach(stdin)
	defer r.input.detach()
	go r.watchSize(session, ended)
	return r.wait(ctx, client, session)
}

func (r *run) prepare(session *ssh.Session) error {
	for _, name := range []string{"LANG", "COLORTERM", "NO_COLOR", "TERM_PROGRAM"} {
		if value, ok := os.LookupEnv(name); ok && r.console != nil {
			_ = session.Setenv(name, value) // the server takes what it likes
		}
	}
	if r.ID != "" {
		if err := session.Setenv(contract.EnvTerminal, r.ID); err != nil {
			r.Log.Debug("the pod's SSH server does not keep terminals", "err", err)
		}
		seen := ssh.Marshal(struct{ Name, Value string }{contract.EnvTerminalSeen, fmt.Sprintf("%s:%d", r.name, r.out.n)})
		_, _ = session.SendRequest("env", false, seen) // its answer would change nothing
	}
	if !r.TTY {
		return nil
	}
	name := os.Getenv("TERM")
	if name == "" || r.console == nil {
		name = "xterm-256color"
	}
	columns, rows := r.size()
	if err := session.RequestPty(name, rows, columns, r.modes); err != nil {
		return fmt.Errorf("request terminal: %w", err)
	}
	return nil
}

// wait returns how the command ended, passing on signals meanwhile.
func (r *run) wait(ctx context.Context, client *tunnel.Client, session *ssh.Session) (int, error) {
	result := make(chan error, 1)
	go func() { result <- session.Wait() }()
	var (
		limit  <-chan time.Time
		told   os.Signal
		cancel = ctx.Done()
	)
	for {
		select {
		case err := <-result:
			return r.status(client, err)
		case s := <-r.signals:
			if told != nil { // asked twice: do not wait
				return signalled + signalNumber(s), nil
			}
			told = s
			_ = session.Signal(sshSignal(s))
			limit = time.After(endGrace)
		case <-limit:
			_ = session.Signal(ssh.SIGHUP)
			return signalled + signalNumber(told), nil
		case <-r.input.left:
			_ = session.Signal(ssh.SIGHUP)
			_ = session.Close()
			return 0, ErrLeft
		case <-cancel:
			_ = session.Signal(ssh.SIGHUP)
			_ = session.Close()
			return 0, context.Cause(ctx)
		}
	}
}

// status is how a session ended: with an exit code, or without one because its
// connection or its pod was ended.
func (r *run) status(client *tunnel.Client, err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil // 128+n for a signal
	}
	return 0, r.failure(client, err)
}

// failure tells a lost connection from what the server refused.
func (r *run) failure(client *tunnel.Client, err error) error {
	var missing *ssh.ExitMissingError
	select {
	case <-client.Done():
		return fmt.Errorf("%w: %w", ErrLost, err)
	case <-time.After(lossNotice):
	}
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// lossNotice is how long the loss of a connection may be noticed after the end of
// a session on it.
const lossNotice = 100 * time.Millisecond

// forwardAgent lets the pod use the laptop's SSH agent. Without it the command
// runs all the same.
func (r *run) forwardAgent(client *tunnel.Client, session *ssh.Session) {
	err := client.Once("auth-agent@openssh.com", func() error { return agent.ForwardToRemote(client.Client, r.AgentSocket) })
	if err == nil {
		err = agent.RequestAgentForwarding(session)
	}
	if err != nil {
		r.Log.Warn("cannot forward the SSH agent", "err", err)
	}
}

// AgentSocket returns the laptop's SSH agent, or "" if there is none to be
// reached.
func AgentSocket() string {
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return ""
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return ""
	}
	_ = conn.Close()
	return path
}

// watchSize passes on the local terminal's size.
func (r *run) watchSize(session *ssh.Session, ended <-chan struct{}) {
	if r.console == nil {
		return
	}
	changed, stop := sizeChanges()
	defer stop()
	columns, rows := r.size()
	for {
		select {
		case <-ended:
			return
		case <-changed:
		}
		if c, w := r.size(); c != columns || w != rows {
			columns, rows = c, w
			_ = session.WindowChange(rows, columns)
		}
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
