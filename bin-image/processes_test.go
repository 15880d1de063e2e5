package binimage_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// processGroup makes a control group that allows so many processes and threads.
func processGroup(t *testing.T, limit int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a control group")
	}
	dir := filepath.Join("/sys/fs/cgroup/pids", fmt.Sprintf("okteto-test-%d", os.Getpid()))
	if _, err := os.Stat("/sys/fs/cgroup/pids"); err != nil {
		dir = filepath.Join("/sys/fs/cgroup", fmt.Sprintf("okteto-test-pids-%d", os.Getpid()))
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
	if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte(fmt.Sprint(limit)), 0); err != nil {
		t.Skipf("processes cannot be limited here: %v", err)
	}
	return dir
}

// TestNoMoreProcesses: a program that uses up all processes that the container may
// have ends none of the agents, whatever they are asked meanwhile, and goes with its
// session.
func TestNoMoreProcesses(t *testing.T) {
	t.Parallel()
	const limit = 100
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	o.UID, o.GID, o.Cgroup = 12345, 12345, processGroup(t, limit)
	c := sandbox.Start(t, o)
	ready(c)
	client := connect(t, c, key)
	bomb, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := bomb.Start("while :; do " + busybox + " sleep 1000 & done"); err != nil {
		t.Fatal(err)
	}
	c.Eventually("there are no more processes", func() error {
		content, err := os.ReadFile(filepath.Join(o.Cgroup, "pids.current"))
		if err != nil {
			return err
		}
		current, err := strconv.Atoi(strings.TrimSpace(string(content)))
		if err == nil && current < limit-2 {
			err = fmt.Errorf("%w: %d", sandbox.ErrNotYet, current)
		}
		return err
	})
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if status, _, err := c.Get(metricsURL + "/metrics"); err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
				t.Errorf("metrics: %d, %v", status, err)
			}
			if err := login(t, c, key); err != nil {
				t.Errorf("login: %v", err)
			}
		})
	}
	asking.Wait()
	client.Close()
	c.Eventually("a command works again", func() error {
		again := connect(t, c, key)
		defer again.Close()
		session, err := again.NewSession()
		if err != nil {
			return err
		}
		out, err := session.CombinedOutput("echo back")
		if err == nil && string(out) != "back\n" {
			err = sandbox.ErrNotYet
		}
		return err
	})
	ready(c)
	m := metricsOf(t, c)
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		if got := m[fmt.Sprintf(`okteto_service_restarts_total{service=%q}`, name)]; got != 0 {
			t.Errorf("%s was started again %v times", name, got)
		}
	}
}
