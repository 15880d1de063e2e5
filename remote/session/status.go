package session

import (
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// exitStatus tells how a program ended: by a signal if sig is set, else with
// code.
type exitStatus struct {
	code int
	sig  syscall.Signal
	core bool
}

func statusOf(state *os.ProcessState) exitStatus {
	if state == nil {
		return exitStatus{code: 255}
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return exitStatus{sig: ws.Signal(), core: ws.CoreDump()}
	}
	return exitStatus{code: state.ExitCode()}
}

// class is the status as a metric label.
func (e exitStatus) class() string {
	switch {
	case e.sig != 0:
		return "signal"
	case e.code != 0:
		return "failure"
	}
	return "success"
}

// signalNames are those of RFC 4254 section 6.10.
var signalNames = map[ssh.Signal]syscall.Signal{
	ssh.SIGABRT: unix.SIGABRT, ssh.SIGALRM: unix.SIGALRM, ssh.SIGFPE: unix.SIGFPE,
	ssh.SIGHUP: unix.SIGHUP, ssh.SIGILL: unix.SIGILL, ssh.SIGINT: unix.SIGINT,
	ssh.SIGKILL: unix.SIGKILL, ssh.SIGPIPE: unix.SIGPIPE, ssh.SIGQUIT: unix.SIGQUIT,
	ssh.SIGSEGV: unix.SIGSEGV, ssh.SIGTERM: unix.SIGTERM, ssh.SIGUSR1: unix.SIGUSR1,
	ssh.SIGUSR2: unix.SIGUSR2,
}

// signalName is the name for exit-signal; signals the RFC does not name carry
// a local name with our domain, as its section 6.10 demands.
func signalName(sig syscall.Signal) string {
	for name, s := range signalNames {
		if s == sig {
			return string(name)
		}
	}
	if name := unix.SignalName(sig); len(name) > 3 {
		return name[3:] + "@dev.okteto.com"
	}
	return fmt.Sprintf("%d@dev.okteto.com", int(sig))
}

// finish ends a channel whose output has been written: EOF, status, close.
// The order matters: clients take what follows the status for lost, and a
// close without a status for a lost connection.
func finish(ch ssh.Channel, st exitStatus) {
	_ = ch.CloseWrite()
	if st.sig != 0 {
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal    string
			Core      bool
			Message   string
			Languages string
		}{signalName(st.sig), st.core, "", ""}))
	} else {
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(st.code)}))
	}
	_ = ch.Close()
}

// report ends a channel whose program has ended: see finish. A program that the
// server took along as it ended gets no status, which tells the client that the
// connection was lost: it then connects again, to the pod's successor perhaps,
// instead of taking the signal for the command's result.
func report(ch ssh.Channel, p *process) {
	if st, own := p.result(); own {
		finish(ch, st)
		return
	}
	_ = ch.CloseWrite()
	_ = ch.Close()
}

// contain turns a panic of one session's code into an error: it must not take
// the other sessions along.
func contain(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
