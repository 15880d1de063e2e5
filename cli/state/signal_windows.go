package state

import "os"

// terminate ends a process. Windows has no signal that a process without a
// console could receive, so there is no asking first.
func terminate(pid int) error { return kill(pid) }

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer p.Release()
	return p.Kill()
}
