package ui

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Explain is the Problem that an error is or wraps, or one that says what it says.
// Where nothing says what to do next and the machine is at fault, that is added.
func Explain(err error) *Problem {
	problem := Problem{Summary: err.Error()}
	if p := (*Problem)(nil); errors.As(err, &p) {
		problem = *p
	}
	if problem.Hint == "" {
		problem.Hint = machineHint(err)
	}
	return &problem
}

// machineHint is what to do about a failure of this machine's; empty: it is none.
func machineHint(err error) string {
	where := "the disk"
	if path := pathOf(err); path != "" {
		where += " of " + path
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space on " + where + ", and do it again"
	case errors.Is(err, syscall.EROFS):
		return where + " is read-only; OKTETO_HOME names another folder for okteto's own files"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many files are open: raise the limit (ulimit -n), or end other programs"
	}
	return ""
}

// pathOf is the file that an error of the system is about.
func pathOf(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Path
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return e.New
	}
	return ""
}
