package child

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap reaps whenever a child has ended. One SIGCHLD may stand for many ends, so
// each is followed by looking until nothing is left.
func (r *Reaper) reap() {
	defer r.stopped.Done()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		for r.reapOne() {
		}
		select {
		case <-ended:
		case <-r.stop:
			return
		}
	}
}

// reapOne reaps one ended process and says whether there was one.
func (r *Reaper) reapOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid := endedChild()
	if pid == 0 {
		return false
	}
	p := r.children[pid]
	if p != nil {
		// What the child left in its group would keep its ports and files.
		// The zombie still holds the id, so the group is the child's own.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(pid, &status, 0, &usage)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if p == nil {
		r.orphans.Add(1)
		return true
	}
	delete(r.children, pid)
	p.exit = exitOf(status, usage)
	p.exit.Lived = time.Since(p.Started)
	close(p.done)
	return true
}

// endedChild is the pid of an ended child that was not reaped yet, or 0. The
// child stays as it is.
func endedChild() int {
	// The kernel's siginfo_t starts with three ints and a union that is aligned
	// as a pointer; for SIGCHLD the union starts with the pid (waitid(2)).
	type childInfo struct {
		_     [3]int32
		union struct {
			_   [0]uintptr
			pid int32
		}
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: no children at all
			return 0
		default:
			return int((*childInfo)(unsafe.Pointer(&info)).union.pid)
		}
	}
}

func exitOf(status syscall.WaitStatus, usage syscall.Rusage) Exit {
	e := Exit{
		Code:   status.ExitStatus(), // -1 unless the process exited
		Core:   status.CoreDump(),
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		MaxRSS: usage.Maxrss * 1024,
	}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}
