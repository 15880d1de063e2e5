package terminal

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// podSignals are the names of the pod's signals by their numbers, which are those of
// Linux whatever the laptop runs (signal(7)).
const podSignals = "- HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM " +
	"STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"

// exitStatus is a command's own exit code, or 128+n when signal n ended it.
// x/crypto/ssh knows the numbers of some signals only.
func exitStatus(e *ssh.ExitError) int {
	name, _, _ := strings.Cut(e.Signal(), "@") // names that are not in RFC 4254 6.10
	if n := slices.Index(strings.Fields(podSignals), strings.TrimPrefix(name, "SIG")); n > 0 {
		return signalled + n
	}
	return e.ExitStatus()
}
