package terminal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

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
	// program is the terminal's, as the pod numbers them.
	program uint64
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
		return 0, r.failure(ctx, client, fmt.Errorf("open session: %w", err))
	}
	defer session.Close()
	if r.AgentSocket != "" {
		r.forwardAgent(client, session)
	}
	if err := r.prepare(session); err != nil {
		return 0, r.failure(ctx, client, err)
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("open session: %w", err)
	}
	before := r.out.n
	session.Stdout, session.Stderr = r.out, r.Streams.ErrOut
	switch {
	case again && r.Once: // who attaches again is given no new command
		err = session.Start(goneCommand)
	case r.Command == "":
		err = session.Shell()
	default:
		err = session.Start(r.Command)
	}
	if err != nil {
		return 0, r.failure(ctx, client, fmt.Errorf("start command: %w", err))
	}
	if r.Started != nil {
		r.Started(again)
	}
	if again {
		r.say("connected again")
	}
	ended := make(chan struct{})
	defer close(ended)
	had, err := r.typed(client)
	if err != nil { // the connection is gone, so the session ends, and writes no more
		_ = session.Wait()
		return 0, r.failure(ctx, client, err)
	}
	if missing := r.input.attach(stdin, had); missing > 0 {
		r.say(fmt.Sprintf("%d bytes of input were lost with the connection", missing))
	}
	defer r.input.detach()
	go r.watchSize(session, ended)
	code, err := r.wait(ctx, client, session)
	if again && r.Once && err == nil && code == goneCode && r.out.n == before {
		return 0, ErrGone
	}
	return code, err
}

// typed asks the pod how much of the input the terminal's program has been given; -1
// if that is not known, or if it is another program than before.
func (r *run) typed(client *tunnel.Client) (int64, error) {
	if r.ID == "" {
		return -1, nil
	}
	ok, reply, err := client.SendRequest(contract.TypedRequest, true, ssh.Marshal(struct{ Terminal, Client string }{r.ID, r.name}))
	if err != nil {
		return 0, fmt.Errorf("ask what the terminal has been given: %w", err)
	}
	var msg struct{ Bytes, Program uint64 }
	if !ok || ssh.Unmarshal(reply, &msg) != nil || msg.Bytes > math.MaxInt64 {
		return -1, nil
	}
	if msg.Program != r.program {
		r.program = msg.Program
		return -1, nil
	}
	return int64(msg.Bytes), nil
}

// goneCommand runs when a terminal is asked for again that does not exist any more.
// It prints nothing and ends in a way that commands do not end in.
const (
	goneCommand = "kill -USR2 $$"
	goneCode    = signalled + 12 // the signal's number in the pod, on Linux
)

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
			return r.status(ctx, client, err)
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
func (r *run) status(ctx context.Context, client *tunnel.Client, err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exitStatus(exit), nil
	}
	return 0, r.failure(ctx, client, err)
}

// failure tells a lost connection from what the server refused. The library's errors
// do not tell, and the loss may be noticed late: so the server is asked for a sign of
// life, to which the answer is one, or the end of the connection.
func (r *run) failure(ctx context.Context, client *tunnel.Client, err error) error {
	lost := fmt.Errorf("%w: %w", ErrLost, err)
	var missing *ssh.ExitMissingError
	if errors.As(err, &missing) {
		return lost
	}
	asked := make(chan error, 1)
	go func() { // ends with the answer or the connection
		_, _, err := client.SendRequest(contract.PingRequest, true, nil)
		asked <- err
	}()
	select {
	case <-client.Done():
		return lost
	case <-ctx.Done():
		return context.Cause(ctx)
	case pingErr := <-asked:
		if pingErr != nil {
			return lost
		}
	}
	return err
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
