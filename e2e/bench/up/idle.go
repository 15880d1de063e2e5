package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"okteto/bin-image/process"
	"okteto/e2e/harness"
	"okteto/internal/contract"
)

const (
	// settle is as long as the programs take to give back what the start took.
	settle  = 30 * time.Second
	idleFor = 30 * time.Second
	mega    = 1 << 20
)

// idle measures what both sides use while nothing happens.
func (b *bench) idle(ctx context.Context) error {
	if _, err := b.settled(ctx); err != nil {
		return err
	}
	pod, laptop, err := b.processes()
	if err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	for _, side := range []struct {
		name                  string
		pids                  []int
		original, target, cpu float64
	}{
		{"pod", pod, 105, 60, 0.5},
		{"laptop", laptop, 172, 90, 0},
	} {
		before, err := used(side.pids)
		if err != nil {
			return err
		}
		if err := sleep(ctx, idleFor); err != nil {
			return err
		}
		after, err := used(side.pids)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "%-76s %6.1f MB %9s   %-18s %.0f MB\n", "resident memory while idle, "+side.name, after.resident, "",
			fmt.Sprintf("%.0f MB, %.2f", side.original, after.resident/side.original), side.target)
		fmt.Fprintf(b.out, "%-76s %6.1f MB\n", "  if what its processes share counts for each", after.each)
		fmt.Fprintf(b.out, "%-76s %7.2f %% %9s   %-18s", "of a core while idle, "+side.name, 100*(after.seconds-before.seconds)/idleFor.Seconds(), "", "")
		if side.cpu > 0 {
			fmt.Fprintf(b.out, " %.1f %%", side.cpu)
		}
		fmt.Fprintln(b.out)
	}
	return nil
}

// processes are the agents in the pod, and those of `up` on this laptop.
func (b *bench) processes() (pod, laptop []int, err error) {
	agents, err := harness.OneAgents(namespace)
	if err != nil {
		return nil, nil, err
	}
	pod = []int{agents.Supervisor.PID}
	for _, child := range agents.Children {
		pod = append(pod, child.PID)
	}
	content, err := os.ReadFile(b.StateFile(contract.PIDFile))
	if err != nil {
		return nil, nil, fmt.Errorf("find the running up: %w", err)
	}
	up, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, nil, fmt.Errorf("find the running up: %w", err)
	}
	table, err := process.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	laptop = []int{up}
	for _, child := range table.Descendants(up) {
		if filepath.Base(child.Executable()) == filepath.Base(b.cli.Binary) {
			laptop = append(laptop, child.PID)
		}
	}
	return pod, laptop, nil
}

// usage of some processes.
type usage struct {
	// resident memory in MB. What processes share, such as the program that both of
	// the laptop's are, counts once; in each, for every one of them.
	resident, each float64
	// seconds of processor time.
	seconds float64
}

func used(pids []int) (u usage, err error) {
	for _, pid := range pids {
		proc, err := procfs.NewProc(pid)
		if err != nil {
			return usage{}, fmt.Errorf("look at process %d: %w", pid, err)
		}
		stat, err := proc.Stat()
		if err != nil {
			return usage{}, fmt.Errorf("look at process %d: %w", pid, err)
		}
		maps, err := proc.ProcSMapsRollup()
		if err != nil {
			return usage{}, fmt.Errorf("look at process %d: %w", pid, err)
		}
		u.resident += float64(maps.Pss) / mega
		u.each += float64(maps.Rss) / mega
		u.seconds += stat.CPUTime()
	}
	return u, nil
}
