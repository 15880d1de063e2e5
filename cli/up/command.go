package up

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strings"

	"okteto/cli/state"
	"okteto/cli/terminal"
	"okteto/cli/ui"
)

// CommandLogFile receives what the command of a detached `up` prints.
const CommandLogFile = "command.log"

// command runs the user's command, or a shell, and waits for its end; without a
// terminal and without a command it waits for the end of ctx.
func (u *up) command(ctx context.Context) error {
	command := terminal.Join(u.Command)
	if u.Command == nil {
		command = terminal.Quote(u.target.Dev.Argv())
	}
	u.endOther(ctx, terminalID(command))
	switch {
	case u.Detached:
		return u.background(ctx, command)
	case terminal.Interactive(u.Streams):
		return u.foreground(ctx, command, true)
	case command != "":
		return u.foreground(ctx, command, false)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (u *up) foreground(ctx context.Context, command string, tty bool) error {
	u.commanding.Store(true)
	defer u.commanding.Store(false)
	options := u.terminal(command, u.Streams)
	options.TTY, options.Once = tty, u.Command != nil
	for {
		code, err := terminal.Run(ctx, options)
		switch {
		case errors.Is(err, terminal.ErrLeft):
			return nil
		case errors.Is(err, terminal.ErrLost) && u.Command == nil && ctx.Err() == nil:
			// The manifest's command belongs to the environment and is run
			// again; a command of the user's own is not run twice unasked.
			u.Report.Note("Starting the command again")
			continue
		case errors.Is(err, terminal.ErrLost) && ctx.Err() == nil:
			return &ui.Problem{
				Summary: "the container was replaced, or its connection lost, while the command ran, and how it ended is not known",
				Hint:    "the command is not run a second time unasked; the environment goes on, until okteto down",
				Cause:   err, Code: terminal.ExitUnknown,
			}
		case err != nil:
			return err
		case code != 0:
			return &ui.ExitError{Code: code}
		}
		return nil
	}
}

// background runs the command of an `up` that nobody looks at. Its end is not the
// environment's.
func (u *up) background(ctx context.Context, command string) error {
	if command != "" {
		u.group.Go(func() { u.runInBackground(ctx, command) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (u *up) runInBackground(ctx context.Context, command string) {
	out, err := os.OpenFile(u.env.Path(CommandLogFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		u.log.Error("cannot open the command's log", "err", err)
		return
	}
	defer out.Close()
	options := u.terminal(command, ui.Streams{Out: out, ErrOut: out})
	options.TTY = true // so that it outlives its connection
	code, err := terminal.Run(ctx, options)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		u.log.Error("the command ended", "err", err)
	default:
		u.log.Warn("the command ended", "code", code)
	}
}

func (u *up) terminal(command string, streams ui.Streams) terminal.Options {
	return terminal.Options{
		Connect: u.connectSettled, Command: command, ID: terminalID(command),
		AgentSocket: terminal.AgentSocket(), Streams: streams, Log: u.log, Quiet: true,
	}
}

// terminalID names the terminal of a command, so that an `up` that begins after
// the last one was killed finds what that one started.
func terminalID(command string) string {
	sum := sha256.Sum256([]byte(command))
	return "up-" + hex.EncodeToString(sum[:8])
}

// terminalFile remembers the terminal of the last command.
const terminalFile = "terminal"

// endOther ends the terminal of an earlier `up` that was killed, if that ran
// another command: this one's own is found again instead.
func (u *up) endOther(ctx context.Context, id string) {
	last, err := os.ReadFile(u.env.Path(terminalFile))
	if err == nil && string(last) != id {
		client, err := u.connect(ctx)
		if err == nil {
			err = terminal.End(ctx, client, string(last))
		}
		if err != nil {
			u.log.Warn("cannot end the last command", "err", err)
		}
	}
	if err := state.WriteFile(u.env.Path(terminalFile), []byte(id)); err != nil {
		u.log.Warn("cannot remember the terminal", "err", err)
	}
}

// logWriter makes log records of lines.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w.log.Info("clean", "line", strings.TrimRight(line, "\r\n"))
	}
	return len(p), nil
}
