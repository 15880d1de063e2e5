package binimage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
)

// TestOutOfMemory: the kernel kills the engine, and everybody is told.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	group, limit := memoryGroup(t)
	limit(64 << 20)
	c := pod(t, func(o *sandbox.Options) { o.Cgroup = group })
	ready(c)
	// The kernel looks for who is worth most to kill: let that be the engine.
	engine, err := agentPID(c, contract.SyncthingBinary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", engine), []byte("1000"), 0); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Exec(contract.Busybox, "dd", "if=/dev/zero", "of=/dev/null", "bs=96M", "count=1")
	logs(t, c, "service=syncthing", "reason=oom", "raise the container's memory limit")
	m := metricsOf(t, c)
	if got := m[`okteto_service_last_exit_reason{reason="oom",service="syncthing"}`]; got != 1 {
		t.Errorf("last exit reason: %v", got)
	}
	if got := m[`okteto_container_oom_kills_total`]; got < 1 {
		t.Errorf("kills for memory: %v", got)
	}
	ready(c)
}

// memoryGroup makes a memory cgroup, of whatever version is there, that a
// container can be started in.
func memoryGroup(t *testing.T) (dir string, limit func(bytes int64)) {
	t.Helper()
	name := fmt.Sprintf("okteto-test-%d", os.Getpid())
	dir, file := filepath.Join("/sys/fs/cgroup/memory", name), "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
		dir, file = filepath.Join("/sys/fs/cgroup", name), "memory.max"
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to make a control group")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("control groups cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		for range 100 {
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return dir, func(bytes int64) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
			t.Skipf("memory cannot be limited here: %v", err)
		}
	}
}
