//go:build !linux && !darwin

package terminal

import (
	"os"

	"golang.org/x/crypto/ssh"
)

// localModes are none: this system's consoles have no such settings.
func localModes(*os.File) ssh.TerminalModes { return ssh.TerminalModes{} }
