package binimage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// peer starts the laptop's end of the synchronization in the container's network.
func peer(t *testing.T, c *sandbox.Container, d original.Dev, keys identity.Environment) {
	t.Helper()
	config, err := d.LocalConfig(original.Local{
		Paths: []string{"/laptop/files"}, GUIAddress: "127.0.0.1:8385", RemoteAddress: "127.0.0.1:22000", Synced: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		contract.SyncthingConfigFile: config,
		contract.SyncthingCertFile:   string(keys.LocalCert), contract.SyncthingKeyFile: string(keys.LocalKey),
	} {
		write(t, c, "/laptop/"+name, content)
	}
	cmd := c.Command(contract.BinDir+"/"+contract.SyncthingBinary, "--config", "/laptop", "--data", "/laptop/data",
		"--listen-address", "127.0.0.1:22001", "--gui-address", "127.0.0.1:8385")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			out, _ := os.ReadFile(log.Name())
			t.Logf("the laptop's end:\n%s", out)
		}
	})
}

// TestSyncedFolderFull: a folder without room says so, and heals.
func TestSyncedFolderFull(t *testing.T) {
	t.Parallel()
	keys, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	d, o := devWith(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}}, keys)
	o.UID, o.GID, o.ReadOnly = 12345, 12345, true
	o.Dirs = append(o.Dirs, "/laptop")
	o.Sizes = map[string]int64{"/src": 8 << 20}
	c := sandbox.Start(t, o)
	ready(c)
	peer(t, c, d, keys)
	metric := func(want string, check func(float64) bool) {
		t.Helper()
		c.Eventually(want, func() error {
			if got, ok := metricsOf(t, c)[want]; !ok || !check(got) {
				return fmt.Errorf("%w: %v, %v", sandbox.ErrNotYet, got, ok)
			}
			return nil
		})
	}
	metric("okteto_sync_connected", func(v float64) bool { return v == 1 })
	metric("okteto_sync_connects_total", func(v float64) bool { return v == 1 })

	write(t, c, "/laptop/files/fits", "small")
	c.Eventually("a small file", func() error { _, err := os.Stat(c.Path("/src/fits")); return err })
	if out, err := c.Exec(contract.Busybox, "dd", "if=/dev/urandom", "of=/laptop/files/huge", "bs=1048576", "count=24"); err != nil {
		t.Fatal(out, err)
	}
	c.Eventually("/readyz tells", func() error {
		body, err := readyz(c)
		if err == nil && !strings.Contains(body, "[-]folder okteto-1") {
			err = fmt.Errorf("%w: %s", sandbox.ErrNotYet, body)
		}
		return err
	})
	metric(`okteto_sync_errors{folder="okteto-1"}`, func(v float64) bool { return v > 0 })
	logs(t, c, "item cannot be synchronized", "folder=okteto-1", "path=huge")
	says(t, c, "[+]okteto-remote ok")

	if _, err := c.Exec(contract.Busybox, "rm", "/laptop/files/huge"); err != nil {
		t.Fatal(err)
	}
	ready(c)
	metric(`okteto_sync_errors{folder="okteto-1"}`, func(v float64) bool { return v == 0 })
	write(t, c, "/laptop/files/after", "again")
	c.Eventually("another file", func() error { _, err := os.Stat(c.Path("/src/after")); return err })
}
