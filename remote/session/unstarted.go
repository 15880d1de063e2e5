package session

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit statuses of programs that could not be started: those of shells (POSIX
// Shell Command Language, section 2.8.2), and the one of ssh(1) where the fault is
// not the program's.
const (
	exitNotFound    = 127
	exitNotRunnable = 126
	exitNoStart     = 255
)

var errClosing = errors.New("the server is shutting down")

// unstarted ends a session whose program could not be started: with the reason on
// stderr, and a status. A refusal of the request would end it too, but clients have
// nothing to say about it.
func (x *exchange) unstarted(err error) {
	text := "okteto-remote: cannot start the command: " + err.Error()
	if hint := hintFor(err); hint != "" {
		text += " (" + hint + ")"
	}
	x.tell(text)
	finish(x.ch, exitStatus{code: codeFor(err)})
}

// tell writes a line of the server's own to stderr.
func (x *exchange) tell(line string) {
	_, _ = x.ch.Stderr().Write([]byte(asLine(line, x.pty != nil)))
}

// asLine ends a line as the client's terminal, or its stream, wants it.
func asLine(line string, terminal bool) string {
	line = strings.ReplaceAll(line, "\n", " ")
	if terminal {
		return line + "\r\n"
	}
	return line + "\n"
}

func codeFor(err error) int {
	switch {
	case errors.Is(err, errNoShell), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return exitNotFound
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.E2BIG),
		errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ETXTBSY), errors.Is(err, syscall.ELOOP):
		return exitNotRunnable
	}
	return exitNoStart
}

// hintFor says what to do about it; "" if there is nothing to be said.
func hintFor(err error) string {
	switch {
	case errors.Is(err, errNoShell):
		return "add a shell to the image, or start the container with the agents' init image"
	case errors.Is(err, syscall.E2BIG):
		return "a command may have 128 KiB, and the environment counts: pass a script on standard input"
	case errors.Is(err, syscall.EAGAIN):
		return "the container has as many processes as it may have: end some, or raise its limit"
	case errors.Is(err, syscall.ENOMEM):
		return "the container has no memory left: end a program, or raise its limit"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many files are open: close some sessions or forwards"
	}
	return ""
}

// startIn starts cmd. A working directory that has vanished, or may not be entered,
// must not lock the developer out: the program starts in / then, and notice says so,
// as OpenSSH does.
func startIn(cmd *exec.Cmd) (notice string, err error) {
	// Asked before: the system's own error does not tell what it was about.
	dir := cmd.Dir
	derr := enterable(dir)
	if derr != nil {
		cmd.Dir = "/"
		notice = fmt.Sprintf("okteto-remote: cannot change to %s: %v; the command starts in /", dir, derr)
	}
	return notice, cmd.Start()
}

func enterable(dir string) error {
	if dir == "" {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return syscall.ENOTDIR
	}
	return unix.Access(dir, unix.X_OK)
}

// refused reports whether a request to start something is to be refused, rather than
// accepted and ended with a reason: what is not there to be asked for, and a server
// that ends, whose clients shall connect again.
func refused(err error) bool {
	return errors.Is(err, errUnknownSubsystem) || errors.Is(err, errClosing)
}
