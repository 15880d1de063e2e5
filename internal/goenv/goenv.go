// Package goenv keeps what an environment tells Go programs from the agents. They
// run in the container of the user, whose variables are meant for the user's own
// program: with GOGC=off an agent would never give memory back, with
// GODEBUG=gctrace=1 it would write to the container's log.
package goenv

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// names of the variables that the runtime reads before main
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
var names = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}

// prefix is what a variable is called by while the program runs without it.
const prefix = "OKTETO_HELD_"

// Shed starts the program anew, as the same process, without what the runtime has
// read from the environment already; most of it cannot be set back. It returns if
// there is no such variable, or if the program cannot be started, which is no reason
// not to run. It is to be called before anything else.
func Shed() {
	env, found := hold(os.Environ())
	if !found {
		return
	}
	// The link in /proc leads to the program even after its file is gone, but
	// would be the process's name.
	if self, err := os.Executable(); err == nil {
		_ = syscall.Exec(self, os.Args, env)
	}
	_ = syscall.Exec("/proc/self/exe", os.Args, env)
}

// Environ is os.Environ as it was before Shed.
func Environ() []string { return restore(os.Environ()) }

func hold(environ []string) (env []string, found bool) {
	env = slices.Clone(environ)
	for i, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(names, name) {
			env[i], found = prefix+kv, true
		}
	}
	return env, found
}

func restore(environ []string) []string {
	env := slices.Clone(environ)
	for i, kv := range env {
		env[i] = strings.TrimPrefix(kv, prefix)
	}
	return env
}
