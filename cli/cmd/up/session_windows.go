package up

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownSession makes a process that neither Ctrl-C in the parent's console nor the
// console's end reaches.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

// interrupt ends the process: Windows has no signal for one without a console.
func interrupt(p *os.Process) error { return p.Kill() }

// ignoreBrokenPipe has nothing to do: such a write is only an error on Windows.
func ignoreBrokenPipe() {}
