package binimage_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/identity"
)

// TestKilledAtAnyTime: a container that is killed at whatever moment of its start
// leaves nothing that the next one stumbles over.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 64<<20)
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src", Ignore: "(?d)x\n"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	o.UID, o.GID, o.ReadOnly = 12345, 12345, true
	v.mount(&o)
	var last *sandbox.Container
	for range 12 {
		last = sandbox.Start(t, o)
		last.Eventually("its first line", func() error {
			if !strings.HasPrefix(last.Log(), "USER:12345\n") {
				return sandbox.ErrNotYet
			}
			return nil
		})
		time.Sleep(rand.N(300 * time.Millisecond))
		last.Stop()
		if log := last.Log(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "damaged") {
			t.Errorf("a start found something wrong:\n%s", log)
		}
	}
	c := sandbox.Start(t, o)
	ready(c)
	connect(t, c, key).Close()
	if m := metricsOf(t, c); m[`okteto_service_restarts_total{service="syncthing"}`]+m[`okteto_service_restarts_total{service="okteto-remote"}`] != 0 {
		t.Error("a service needed another attempt")
	}
	err = filepath.WalkDir(v.dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".okteto-") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestVolumeOfAnotherUser: a volume that root has written, and another user is to go
// on with, without fsGroup. It says so, and its owner finds everything as it was.
func TestVolumeOfAnotherUser(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 64<<20)
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src", Ignore: "(?d)x\n"}}})
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Secret = d.Secret(string(key.AuthorizedKey))
	v.mount(&o)
	c := sandbox.Start(t, o)
	ready(c)
	c.Stop()
	o.UID, o.GID = 12345, 12345
	c = sandbox.Start(t, o)
	if code := c.Wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	// The CLI reads the first line, and advises the user by it.
	lines := strings.Split(strings.TrimSpace(c.Log()), "\n")
	if len(lines) != 2 || lines[0] != "USER:12345" {
		t.Errorf("log: %q", lines)
	}
	for _, part := range []string{"authorized_keys", "as user 12345", "Permission denied", "securityContext.runAsUser"} {
		if !strings.Contains(lines[len(lines)-1], part) {
			t.Errorf("%q does not say %q", lines[len(lines)-1], part)
		}
	}
	o.UID, o.GID = 0, 0
	ready(sandbox.Start(t, o))
}
