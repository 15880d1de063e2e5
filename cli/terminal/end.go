package terminal

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"okteto/cli/tunnel"
	"okteto/internal/contract"
)

// End ends a named terminal and what runs in it. One that does not exist is fine.
func End(ctx context.Context, client *tunnel.Client, id string) error {
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("end terminal: %w", err)
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	if err := session.Setenv(contract.EnvTerminal, id); err != nil {
		return nil // a server that keeps no terminals has none to end
	}
	if err := session.RequestPty("dumb", defaultRows, defaultColumns, ssh.TerminalModes{}); err != nil {
		return fmt.Errorf("end terminal: %w", err)
	}
	// Attaches to the terminal, or makes one in which nothing runs.
	if err := session.Start("true"); err != nil {
		return fmt.Errorf("end terminal: %w", err)
	}
	// Closing it on a connection that lives on ends it; the signal fails when
	// it has ended already.
	_ = session.Signal(ssh.SIGHUP)
	return nil
}
