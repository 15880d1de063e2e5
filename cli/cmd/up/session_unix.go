//go:build !windows

package up

import (
	"os"
	"os/signal"
	"syscall"
)

// ownSession makes a process that neither Ctrl-C in the parent's terminal nor the
// terminal's end reaches.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// ignoreBrokenPipe makes a write to a pipe that nobody reads an error.
func ignoreBrokenPipe() { signal.Ignore(syscall.SIGPIPE) }
