package root

import (
	"os"
	"syscall"
)

// endSignals are those that ask a command to end: Ctrl-C, and what the runtime
// makes of a closed console or a logoff.
func endSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
