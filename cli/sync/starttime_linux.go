package sync

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// startTime of a process in clock ticks since boot: field 22 of proc_pid_stat(5),
// which no change of the clock touches.
func startTime(pid int) (int64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name and may hold spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const index = 22 - 3
	if len(fields) <= index {
		return 0, fmt.Errorf("parse /proc/%d/stat: %d fields", pid, len(fields))
	}
	return strconv.ParseInt(string(fields[index]), 10, 64)
}
