// Package process looks at the processes of the container as /proc shows them
// (proc(5)). A process is identified by its pid and start time together, since
// pids are used again.
package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
)

// Process is what was seen of one process.
type Process struct {
	PID, Parent int
	// Start in clock ticks since boot.
	Start uint64
	// Session and Group ids.
	Session, Group int
	// State is one letter; "Z" is a zombie.
	State string
	// Name is the kernel's (comm), at most 15 bytes.
	Name string

	proc procfs.Proc
	root string
}

// Table is a snapshot of all processes that can be seen.
type Table struct {
	byPID map[int]*Process
	// PIDs in ascending order.
	pids []int
}

// Snapshot reads /proc. Processes that end meanwhile are left out.
func Snapshot() (*Table, error) { return snapshot(procfs.DefaultMountPoint) }

func snapshot(root string) (*Table, error) {
	fs, err := procfs.NewFS(root)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	t := &Table{byPID: make(map[int]*Process, len(all))}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue
		}
		t.byPID[p.PID] = &Process{
			PID: p.PID, Parent: stat.PPID, Start: stat.Starttime, Session: stat.Session, Group: stat.PGRP,
			State: stat.State, Name: stat.Comm, proc: p, root: root,
		}
		t.pids = append(t.pids, p.PID)
	}
	slices.Sort(t.pids)
	return t, nil
}

// All processes in the order of their pids.
func (t *Table) All() []*Process {
	all := make([]*Process, 0, len(t.pids))
	for _, pid := range t.pids {
		all = append(all, t.byPID[pid])
	}
	return all
}

// Get a process, or nil.
func (t *Table) Get(pid int) *Process { return t.byPID[pid] }

// Ancestors of a process, the nearest first, without itself.
func (t *Table) Ancestors(p *Process) []*Process {
	var up []*Process
	for seen := map[int]bool{p.PID: true}; ; {
		p = t.byPID[p.Parent]
		if p == nil || seen[p.PID] {
			return up
		}
		seen[p.PID] = true
		up = append(up, p)
	}
}

// Descendants of a process, without itself.
func (t *Table) Descendants(pid int) []*Process {
	children := map[int][]int{}
	for _, child := range t.pids {
		p := t.byPID[child]
		children[p.Parent] = append(children[p.Parent], child)
	}
	var down []*Process
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		if p := t.byPID[queue[0]]; p.PID != pid {
			down = append(down, p)
			queue = append(queue, children[p.PID]...)
		}
	}
	return down
}

// Zombie says that the process has ended and waits for its parent.
func (p *Process) Zombie() bool { return p.State == "Z" || p.State == "X" }

// Executable is the path of the program as the process itself sees it; empty
// where it cannot be read.
func (p *Process) Executable() string {
	path, err := p.proc.Executable()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// ExecutableFile identifies the program's file, also when its name is gone.
func (p *Process) ExecutableFile() (os.FileInfo, error) { return os.Stat(p.path("exe")) }

// MountNamespace identifies the container that the process belongs to. It is
// empty where it cannot be read, which is so for other users' processes.
func (p *Process) MountNamespace() string {
	name, err := os.Readlink(p.path("ns/mnt"))
	if err != nil {
		return ""
	}
	return name
}

// Args of the process, argv[0] first.
func (p *Process) Args() []string {
	args, err := p.proc.CmdLine()
	if err != nil {
		return nil
	}
	return args
}

// Getenv is a variable of the environment that the process was started with.
func (p *Process) Getenv(name string) (string, bool) {
	environ, err := p.proc.Environ()
	if err != nil {
		return "", false
	}
	for _, kv := range environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// Same says that the process still is the one that was seen.
func (p *Process) Same() bool {
	now, err := p.proc.Stat()
	return err == nil && now.Starttime == p.Start && now.State != "Z" && now.State != "X"
}

func (p *Process) path(name string) string {
	return filepath.Join(p.root, fmt.Sprint(p.PID), name)
}
