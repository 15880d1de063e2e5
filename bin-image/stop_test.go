package binimage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// TestStoppedChildren: what SIGSTOP has stopped goes on, with its sessions.
func TestStoppedChildren(t *testing.T) {
	t.Parallel()
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	c := sandbox.Start(t, o)
	ready(c)
	client := connect(t, c, key)
	defer client.Close()
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		pid, err := agentPID(c, name)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		logs(t, c, "was stopped by a signal", "service="+name)
	}
	ready(c)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.CombinedOutput("echo still here"); err != nil || string(out) != "still here\n" {
		t.Errorf("on the connection from before: %q, %v", out, err)
	}
	m := metricsOf(t, c)
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		if got := m[fmt.Sprintf(`okteto_service_restarts_total{service=%q}`, name)]; got != 0 {
			t.Errorf("%s was started again %v times", name, got)
		}
	}
}

// TestStop: TERM ends everything in good order, with what sessions have left.
func TestStop(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	if err := os.Chmod(src, 0o777); err != nil {
		t.Fatal(err)
	}
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	o.UID, o.GID, o.ReadOnly, o.Volumes = 12345, 12345, true, map[string]string{"/src": src}
	c := sandbox.Start(t, o)
	ready(c)
	client := connect(t, c, key)
	background(t, client, "job", `trap "echo flushed >/src/flushed; exit" TERM; echo >/src/up; while :; do `+busybox+` sleep 0.05; done`)
	client.Close()
	c.Eventually("the background job", func() error { _, err := os.Stat(filepath.Join(src, "up")); return err })
	begin := time.Now()
	c.Signal(syscall.SIGTERM)
	if code := c.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("stopped after %s", time.Since(begin).Round(time.Millisecond))
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		logs(t, c, "service="+name, "reason=stop", `ended="exit code 0"`)
	}
	if _, err := os.Stat(filepath.Join(src, "flushed")); err != nil {
		t.Errorf("the background job had no time to end: %v", err)
	}
}

// TestStopSignals: images name signals of their own to be ended with (STOPSIGNAL).
func TestStopSignals(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"nginx": syscall.SIGQUIT, "postgres": syscall.SIGINT, "systemd": 37} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := pod(t, nil)
			ready(c)
			c.Signal(sig)
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			logs(t, c, "msg=stopped")
		})
	}
}

// TestLogIsNotRead: a container runtime that does not read the log any more, as on a
// node whose disk is full, stops nobody.
func TestLogIsNotRead(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Of a page each run of an agent fills a part.
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	c := pod(t, func(o *sandbox.Options) { o.Stdout = w })
	w.Close()
	ready(c)
	for name, times := range map[string]int{contract.SyncthingBinary: 5, contract.RemoteBinary: 5} {
		for range times {
			old := kill(t, c, name)
			c.Eventually("another "+name, func() error {
				pid, err := agentPID(c, name)
				if err == nil && pid == old {
					err = sandbox.ErrNotYet
				}
				return err
			})
		}
	}
	ready(c)
	if pending, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ); err != nil || pending < os.Getpagesize()/2 {
		t.Fatalf("the pipe is not full: %d, %v", pending, err)
	}
	c.Signal(syscall.SIGTERM)
	if code := c.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
