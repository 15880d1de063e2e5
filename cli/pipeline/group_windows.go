package pipeline

import "os/exec"

// group is the command itself: its children end with its pipes.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) *group { return &group{cmd} }

// terminate and kill are the same: Windows has no other end for a process
// without a console. One that has ended already is an error that means nothing.
func (g *group) terminate() { g.kill() }
func (g *group) kill()      { _ = g.cmd.Process.Kill() }

func exitCode(e *exec.ExitError) int { return e.ExitCode() }
