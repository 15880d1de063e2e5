//go:build !windows

package root

import (
	"os"
	"syscall"
)

// endSignals are those that ask a command to end. SIGHUP comes when the terminal
// is closed.
func endSignals() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
}
