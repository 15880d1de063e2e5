package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// ErrNoSubsystem is returned when the SSH server in the pod has no such subsystem.
var ErrNoSubsystem = errors.New("the container's SSH server has no such subsystem")

// Subsystem starts a subsystem and talks to it; the context's end breaks that off.
func Subsystem(ctx context.Context, client *ssh.Client, name string, talk func(io.ReadWriter) error) error {
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	err = session.RequestSubsystem(name)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoSubsystem, name, err)
	}
	err = talk(pipe{out, in})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

type pipe struct {
	io.Reader
	io.Writer
}
