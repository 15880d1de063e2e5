//go:build !linux

package state

import (
	"fmt"
	"strconv"

	"github.com/shirou/gopsutil/v4/process"
)

// processStart tells a process from every other that ever had its number: the
// time it started, in milliseconds.
func processStart(pid int) (string, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	created, err := p.CreateTime()
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	return strconv.FormatInt(created, 10), nil
}
