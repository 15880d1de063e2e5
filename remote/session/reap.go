package session

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reapInterval is how long an orphan may stay a zombie, at least.
const reapInterval = 3 * time.Second

// ReapOrphans takes care of the processes that a container's first process
// inherits, until ctx ends. It is for a server baked into an image, which may
// be that process; otherwise it has nothing to do. Programs that the server
// itself waits for are left alone: only what was a zombie already at the
// previous look, and is no program of a session, is reaped.
func (s *Server) ReapOrphans(ctx context.Context) {
	if os.Getpid() != 1 {
		return
	}
	t := time.NewTicker(reapInterval)
	defer t.Stop()
	var before map[int]bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := zombies()
		for pid := range now {
			if before[pid] && !s.owns(pid) {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
				delete(now, pid)
			}
		}
		before = now
	}
}

func (s *Server) owns(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.procs {
		if p.cmd.Process.Pid == pid {
			return true
		}
	}
	return false
}

// zombies among the children of this process.
func zombies() map[int]bool {
	found := make(map[int]bool)
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// "pid (name) state parent …"; the name may hold anything.
		i := strings.LastIndexByte(string(data), ')')
		f := strings.Fields(string(data[i+1:]))
		if len(f) < 2 || f[0] != "Z" || f[1] != self {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found[pid] = true
		}
	}
	return found
}
