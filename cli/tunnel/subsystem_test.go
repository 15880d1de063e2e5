//go:build linux

package tunnel_test

import (
	"errors"
	"io"
	"testing"

	"okteto/cli/tunnel"
	"okteto/cli/tunnel/tunneltest"
)

func TestSubsystemThatTheServerDoesNotHave(t *testing.T) {
	server := tunneltest.Start(t)
	client := interactive(t, server.Link(t))
	err := tunnel.Subsystem(limited(t), client.Client, "no-such", func(io.ReadWriter) error {
		t.Error("there is somebody to talk to")
		return nil
	})
	if !errors.Is(err, tunnel.ErrNoSubsystem) {
		t.Errorf("Subsystem = %v", err)
	}
	works(t, client)
}
