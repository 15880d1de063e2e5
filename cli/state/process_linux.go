package state

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// processStart tells a process from every other that ever had its number: the
// boot, and the clock ticks since boot at which it started (proc_pid_stat(5),
// field 22), which unlike a time of day do not move when the clock is set.
func processStart(pid int) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	// The command name may hold anything, also spaces and parentheses.
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 20 {
		return "", fmt.Errorf("read process %d: unexpected format", pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return "", fmt.Errorf("read process %d: it has ended", pid)
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[19], nil
}
