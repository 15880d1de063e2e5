//go:build !windows

package state

import "golang.org/x/sys/unix"

// terminate asks a process to end, kill ends it.
func terminate(pid int) error { return unix.Kill(pid, unix.SIGTERM) }

func kill(pid int) error { return unix.Kill(pid, unix.SIGKILL) }
