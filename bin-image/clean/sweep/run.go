// Package sweep ends the processes that an earlier `up` has left in the dev
// container: its command, what that started, and sessions whose connection is
// gone. It spares what is not left over:
//
//   - the agents, PID 1, itself and what it was started by, and all processes of
//     other containers of the pod (shareProcessNamespace);
//   - terminals that the SSH server keeps for a client to come back to;
//   - sessions of SSH connections that are alive, which are other people's or
//     other windows';
//   - the servers of IDEs, and tmux and screen, which are made to outlive a
//     connection;
//
// each with all that descends from it. A process is known by its pid and start
// time, its file and its ancestors, never by a part of its name.
package sweep

import (
	"context"
	"fmt"
	"os"
	"time"

	"okteto/bin-image/process"
	"okteto/internal/contract"
)

// Options of Run.
type Options struct {
	// BinDir holds the agents; the contract's directory is looked at too.
	BinDir string
	// Grace between TERM and KILL; 500 ms by default: the CLI waits for us.
	Grace time.Duration
	// Root process whose descendants are looked at. By default everything in
	// this container.
	Root int
}

// rounds bounds how often it is looked again for what a process has started
// while it was being ended.
const rounds = 3

// Run ends the processes. It fails only if the processes cannot be listed.
func Run(ctx context.Context, opts Options) error {
	if opts.Grace == 0 {
		opts.Grace = 500 * time.Millisecond
	}
	for range rounds {
		table, err := process.Snapshot()
		if err != nil {
			return err
		}
		if opts.Root == 0 && !supervised(table, opts) {
			fmt.Fprintln(os.Stderr, "clean: this is no dev container, since no supervisor runs in it: nothing is ended")
			return nil
		}
		victims := choose(table, opts, liveConnections())
		if len(victims) == 0 {
			return nil
		}
		if left := process.End(ctx, victims, opts.Grace); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "clean: %d processes do not end, the first is %d (%s)\n", len(left), left[0].PID, left[0].Name)
			return nil
		}
	}
	return nil
}

// supervised says that a supervisor of ours runs in this container. Anywhere else, as
// on a machine where somebody tries the program, everything would be left over.
func supervised(table *process.Table, opts Options) bool {
	self := table.Get(os.Getpid())
	if self == nil {
		return false
	}
	c := chooser{table: table, agents: agentFiles(opts.BinDir, contract.SupervisorBinary), container: self.MountNamespace()}
	for _, p := range table.All() {
		if c.ours(p) && !p.Zombie() && c.isSupervisor(p) {
			return true
		}
	}
	return false
}

// choose the processes to end.
func choose(table *process.Table, opts Options, live connections) []*process.Process {
	self := table.Get(os.Getpid())
	if self == nil {
		return nil
	}
	c := chooser{
		table: table, live: live, agents: agentFiles(opts.BinDir, contract.SupervisorBinary, contract.RemoteBinary, contract.SyncthingBinary),
		container: self.MountNamespace(), spared: map[int]bool{1: true, self.PID: true},
	}
	for _, p := range table.Ancestors(self) {
		c.spared[p.PID] = true
	}
	candidates := table.All()
	if opts.Root != 0 {
		candidates = table.Descendants(opts.Root)
	}
	for _, p := range candidates {
		if !c.spared[p.PID] && c.keeps(p) {
			c.spared[p.PID] = true
		}
	}
	var victims []*process.Process
	for _, p := range candidates {
		if p.Zombie() || c.spared[p.PID] || !c.ours(p) || c.belongsToSpared(p) {
			continue
		}
		victims = append(victims, p)
	}
	return victims
}

// agentFiles identifies the agents by their files, so that a copy or another
// program of the same name is none.
func agentFiles(binDir string, names ...string) []os.FileInfo {
	var files []os.FileInfo
	for _, dir := range []string{binDir, contract.BinDir} {
		for _, name := range names {
			if info, err := os.Stat(dir + "/" + name); err == nil {
				files = append(files, info)
			}
		}
	}
	return files
}
