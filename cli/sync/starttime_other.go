//go:build !linux

package sync

import "github.com/shirou/gopsutil/v4/process"

// startTime of a process in milliseconds since the epoch.
func startTime(pid int) (int64, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0, err
	}
	return p.CreateTime()
}
