//go:build !windows

package pipeline

import (
	"os/exec"
	"syscall"
)

// group is a command with all of its children.
type group struct{ cmd *exec.Cmd }

// newGroup gives a command a process group of its own before it starts.
func newGroup(cmd *exec.Cmd) *group {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &group{cmd}
}

func (g *group) terminate() { g.signal(syscall.SIGTERM) }
func (g *group) kill()      { g.signal(syscall.SIGKILL) }

// signal reaches the group also after its leader has ended, as long as a member
// is left; an empty one is an error that means nothing.
func (g *group) signal(s syscall.Signal) { _ = syscall.Kill(-g.cmd.Process.Pid, s) }

// exitCode is that of the shell's convention, 128+n for signal n.
func exitCode(e *exec.ExitError) int {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return e.ExitCode()
}
