package session

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// process is a program that runs for a session, in a session (setsid) and
// process group of its own.
type process struct {
	kind string
	cmd  *exec.Cmd
	// notice is what the client is told before the program's output.
	notice string

	// Without a terminal: our ends of its pipes.
	stdin          *os.File
	stdout, stderr *os.File
	// With a terminal: its master.
	master *os.File

	// exited is closed after the program has ended and been waited for;
	// status is valid from then on.
	exited chan struct{}
	status exitStatus

	mu   sync.Mutex
	done bool // protected by mu: about to be reaped, must not be signalled
	// cut is protected by mu: the server's own end took the program along.
	cut bool
}

// start runs the program. On success the caller owns p's files.
func (s *Server) start(kind string, cmd *exec.Cmd, pty *ptyRequest, env func(tty string) []string) (p *process, err error) {
	p = &process{kind: kind, cmd: cmd, exited: make(chan struct{})}
	cmd.Dir = s.opts.WorkDir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var child []*os.File
	tty := ""
	if pty != nil {
		var slave *os.File
		if p.master, slave, tty, err = openPTY(); err != nil {
			return nil, err
		}
		child = []*os.File{slave}
		if err := pty.prepare(slave); err != nil {
			closeAll(slave, p.master)
			return nil, err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr.Setctty = true
	} else if child, err = p.pipes(); err != nil {
		return nil, err
	}
	cmd.Env = env(tty)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		err = errClosing
	} else {
		p.notice, err = startIn(cmd)
	}
	closeAll(child...)
	if err != nil {
		closeAll(p.stdin, p.stdout, p.stderr, p.master)
		return nil, err
	}
	s.procs[p] = struct{}{}
	s.wg.Add(1)
	s.opts.Metrics.started(kind)
	go s.wait(p)
	return p, nil
}

// pipes makes the three pipes of a program without a terminal and returns the
// program's ends. They are pipes and not sockets so that /dev/stdout can be
// opened, and files handed over as they are, so that exec.Cmd.Wait waits for
// the program only, not for who else holds them.
func (p *process) pipes() (child []*os.File, err error) {
	var all []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(all...)
			return nil, err
		}
		all = append(all, r, w)
	}
	p.stdin, p.stdout, p.stderr = all[1], all[2], all[4]
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = all[0], all[3], all[5]
	return []*os.File{all[0], all[3], all[5]}, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// hold counts a reader of a program's output, which may outlive the session.
func (s *Server) hold(f *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wg.Add(1)
	s.files[f] = struct{}{}
}

func (s *Server) release(f *os.File) {
	_ = f.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, f)
	s.wg.Done()
}

// wait reaps the program. It first waits without reaping, so that kill never
// meets a process group whose number has been given to somebody else.
func (s *Server) wait(p *process) {
	defer s.wg.Done()
	pid := p.cmd.Process.Pid
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	_ = p.cmd.Wait() // the state says it all
	p.status = statusOf(p.cmd.ProcessState)
	s.mu.Lock()
	delete(s.procs, p)
	s.mu.Unlock()
	s.opts.Metrics.ended(p.kind, p.status)
	close(p.exited)
}

// kill signals a process group: the program's own if pgrp is 0.
func (p *process) kill(pgrp int, sig unix.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return false
	}
	if pgrp == 0 {
		pgrp = p.cmd.Process.Pid
	}
	return unix.Kill(-pgrp, sig) == nil
}

// hangup tells the process group that its client is gone. CONT lets stopped
// members see the HUP (POSIX general terminal interface does the same).
func (p *process) hangup() {
	p.kill(0, unix.SIGHUP)
	p.kill(0, unix.SIGCONT)
}

// cutOff is hangup for a program that the server takes along as it ends.
func (p *process) cutOff() {
	p.mu.Lock()
	p.cut = !p.done
	p.mu.Unlock()
	p.hangup()
}

// result is how the program ended, and whether that was its own end. If it was
// not, clients must take it for a lost connection and not for a result.
func (p *process) result() (st exitStatus, own bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, !p.cut
}

func (p *process) resize(w window) {
	if p.master != nil {
		_ = setSize(p.master, w)
	}
}

// signal delivers to the terminal's foreground job, or the process group.
func (p *process) signal(name ssh.Signal) bool {
	sig, ok := signalNames[name]
	if !ok {
		return false
	}
	pgrp := 0
	if p.master != nil {
		pgrp = foreground(p.master)
	}
	return p.kill(pgrp, sig)
}

func (p *process) stopOutput() {
	if p.stdout != nil {
		_ = p.stdout.Close()
	}
}

// Shutdown hangs up on all programs and waits for them until ctx ends, then
// kills what is left.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	procs := make([]*process, 0, len(s.procs))
	for p := range s.procs {
		procs = append(procs, p)
	}
	s.mu.Unlock()
	for _, p := range procs {
		p.cutOff()
	}
	for _, p := range procs {
		select {
		case <-p.exited:
		case <-ctx.Done():
			p.kill(0, unix.SIGKILL)
			<-p.exited
		}
	}
	s.terminals.close()
	s.mu.Lock()
	for f := range s.files {
		_ = f.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
