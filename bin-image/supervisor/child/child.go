// Package child starts processes and is the only one that waits for them.
//
// A process that is PID 1, or a child subreaper, inherits the orphans of the
// whole container and must reap them. A reaper that calls wait4(-1) beside
// os/exec steals the exit states os/exec waits for ("waitid: no child
// processes"). Here there is one owner: every ended process is looked at with
// WNOWAIT first, and its state goes to whoever started it, or is dropped if it
// was an orphan. Nothing else in the program may wait for processes, so nothing
// else may use os/exec.
package child

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec says what to start.
type Spec struct {
	// Path of the executable; argv[0] is the same.
	Path string
	// Args without argv[0].
	Args []string
	// Env of the process, as in os.Environ.
	Env []string
	// Dir is the working directory; empty keeps the caller's.
	Dir string
	// Stdout and Stderr become file descriptors 1 and 2; nil is /dev/null.
	Stdout, Stderr *os.File
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code, or -1 after a signal.
	Code int
	// Signal that ended the process, or 0.
	Signal syscall.Signal
	// Core says that the kernel wrote a core dump.
	Core bool
	// Lived is the time from start to end.
	Lived time.Duration
	// CPU is user plus system time.
	CPU time.Duration
	// MaxRSS is the largest resident set, in bytes.
	MaxRSS int64
}

// String is "exit code 3" or "signal SIGKILL".
func (e Exit) String() string {
	if e.Signal != 0 {
		name := unix.SignalName(e.Signal)
		if name == "" {
			name = fmt.Sprint(int(e.Signal))
		}
		return "signal " + name
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Process is a started child.
type Process struct {
	// PID, which is also the id of the process group.
	PID     int
	Started time.Time

	reaper *Reaper
	done   chan struct{}
	exit   Exit // valid once done is closed
}

// Done is closed once the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the process ended. It waits for the end.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends a signal to the process group of the child. It does nothing once
// the child was reaped, when its id may belong to someone else.
func (p *Process) Signal(sig syscall.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.children[p.PID] != p {
		return nil
	}
	if err := syscall.Kill(-p.PID, sig); err != nil {
		return fmt.Errorf("send %s to process group %d: %w", unix.SignalName(sig), p.PID, err)
	}
	return nil
}

// Reaper starts children and reaps everything that ends.
type Reaper struct {
	// mu is held from fork to registration and from look to reap, so that no
	// process can end between the two unseen. It protects children.
	mu       sync.Mutex
	children map[int]*Process

	orphans atomic.Uint64
	starts  chan func()
	stop    chan struct{}
	stopped sync.WaitGroup
}

// NewReaper makes the process a child subreaper (prctl(2)), so that orphans come
// to it also when it is not PID 1, and starts reaping. Close ends it.
func NewReaper() (*Reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become child subreaper: %w", err)
	}
	r := &Reaper{
		children: map[int]*Process{},
		starts:   make(chan func()),
		stop:     make(chan struct{}),
	}
	r.stopped.Add(2)
	go r.reap()
	go r.fork()
	return r, nil
}

// Close stops reaping. Children must have ended: the kernel kills those that
// have not.
func (r *Reaper) Close() {
	close(r.stop)
	r.stopped.Wait()
}

// Orphans is the number of processes reaped that were not started here.
func (r *Reaper) Orphans() uint64 { return r.orphans.Load() }

// Start starts a child in a process group of its own. The kernel kills the child
// when this program ends, however it ends.
func (r *Reaper) Start(spec Spec) (*Process, error) {
	type result struct {
		p   *Process
		err error
	}
	done := make(chan result, 1)
	select {
	case r.starts <- func() {
		p, err := r.start(spec)
		done <- result{p, err}
	}:
	case <-r.stop:
		return nil, fmt.Errorf("start %s: %w", spec.Path, os.ErrClosed)
	}
	res := <-done
	return res.p, res.err
}

// fork starts the children, all from one thread that lives as long as the
// reaper: PR_SET_PDEATHSIG fires at the end of the thread that forked, not of
// the process, and Go ends threads as it likes (golang/go#27505).
func (r *Reaper) fork() {
	defer r.stopped.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case start := <-r.starts:
			start()
		case <-r.stop:
			return
		}
	}
}

func (r *Reaper) start(spec Spec) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	for i, f := range []*os.File{nil, spec.Stdout, spec.Stderr} {
		if f != nil {
			files[i] = f.Fd()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(spec.Path, append([]string{spec.Path}, spec.Args...), &syscall.ProcAttr{
		Dir:   spec.Dir,
		Env:   spec.Env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: spec.Path, Err: err}
	}
	p := &Process{PID: pid, Started: time.Now(), reaper: r, done: make(chan struct{})}
	r.children[pid] = p
	return p, nil
}
