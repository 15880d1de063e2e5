package sync

import (
	"os/exec"
	"runtime"
	"syscall"
)

// run starts a child and returns its end. The child is told to end when we do,
// even by kill -9: the kernel sends it TERM when the thread that started it
// ends, so that thread must live as long as the child (prctl(2),
// PR_SET_PDEATHSIG).
func run(cmd *exec.Cmd) (<-chan error, error) {
	// A group of its own: ^C at the terminal is for okteto, which ends the
	// child in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
		close(ended)
	}()
	return ended, <-started
}
