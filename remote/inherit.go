package main

import (
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// cleanInheritance keeps what the server was started with from reaching the
// programs of sessions.
func cleanInheritance() {
	handleIgnored()
	keepDescriptors()
}

// handleIgnored installs a handler, which does nothing, for the signals that the
// server was started with as ignored (nohup, a shell's background jobs):
// programs inherit ignored signals, and sessions could not be hung up.
func handleIgnored() {
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGTSTP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

// keepDescriptors marks all descriptors but the standard ones close-on-exec.
// Those that Go opens are marked already; inherited ones are not.
func keepDescriptors() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	dir, err := os.ReadDir("/proc/self/fd") // kernels before 5.11
	if err != nil {
		return
	}
	for _, e := range dir {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
