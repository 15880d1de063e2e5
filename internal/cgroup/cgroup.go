// Package cgroup reads what the kernel counts for the container's control group:
// how often it killed a process for memory, how much is used and what the limit
// is. Version 1 and 2 of the interface are understood (the kernel's
// admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is the memory controller of one control group.
type Memory struct {
	dir, top string // the group's directory, and that of the outermost one in sight
	v2       bool
}

// Self finds the memory controller of this process. The error satisfies
// fs.ErrNotExist where there is none to see.
func Self() (*Memory, error) { return find("/proc/self/cgroup", "/sys/fs/cgroup") }

// find reads a /proc/<pid>/cgroup file and tries the group's own directory
// first and then the top: a container that does not have a cgroup namespace of
// its own sees the host's path in the file and its group at the top.
func find(membership, mount string) (*Memory, error) {
	f, err := os.Open(membership)
	if err != nil {
		return nil, fmt.Errorf("find control group: %w", err)
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	var candidates []Memory
	for scan.Scan() {
		// hierarchy:controllers:path
		parts := strings.SplitN(scan.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			candidates = append(candidates, Memory{filepath.Join(mount, parts[2]), mount, true}, Memory{mount, mount, true})
		case hasController(parts[1], "memory"):
			v1 := filepath.Join(mount, "memory")
			candidates = append(candidates, Memory{filepath.Join(v1, parts[2]), v1, false}, Memory{v1, v1, false})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("find control group: %w", err)
	}
	for _, m := range candidates {
		if _, err := m.OOMKills(); err == nil {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("find memory controller below %s: %w", mount, fs.ErrNotExist)
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// OOMKills is how many processes of the group the kernel has killed because
// memory ran out.
func (m *Memory) OOMKills() (uint64, error) {
	name := "memory.oom_control"
	if m.v2 {
		name = "memory.events"
	}
	f, err := os.Open(filepath.Join(m.dir, name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		if value, ok := strings.CutPrefix(scan.Text(), "oom_kill "); ok {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	if err := scan.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("read oom_kill from %s: %w", f.Name(), fs.ErrNotExist)
}

// Usage is the memory in use, in bytes.
func (m *Memory) Usage() (uint64, error) {
	if m.v2 {
		return number(m.dir, "memory.current")
	}
	return number(m.dir, "memory.usage_in_bytes")
}

// ErrNoLimit is returned by Limit where the group has none.
var ErrNoLimit = errors.New("no memory limit")

// Limit is the most memory the group may use, in bytes, or ErrNoLimit. The groups
// around it count: a group has no more than the one that it is in.
func (m *Memory) Limit() (uint64, error) {
	name := "memory.limit_in_bytes"
	if m.v2 {
		name = "memory.max"
	}
	limit, err := limitIn(m.dir, name)
	for dir := m.dir; dir != m.top && dir != "/" && dir != "."; {
		dir = filepath.Dir(dir)
		// The outermost group of version 2 has no such file.
		if outer, outerErr := limitIn(dir, name); outerErr == nil && (errors.Is(err, ErrNoLimit) || err == nil && outer < limit) {
			limit, err = outer, nil
		}
	}
	return limit, err
}

func limitIn(dir, name string) (uint64, error) {
	n, err := number(dir, name)
	// Version 1 says "no limit" with the largest multiple of the page size.
	if err == nil && n > 1<<62 {
		return 0, ErrNoLimit
	}
	return n, err
}

func number(dir, name string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(b))
	if text == "max" {
		return 0, ErrNoLimit
	}
	return strconv.ParseUint(text, 10, 64)
}
