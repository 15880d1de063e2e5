package binimage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// login tries a key once.
func login(t *testing.T, c *sandbox.Container, key identity.UserKey) error {
	t.Helper()
	conn, err := c.Dial(t.Context(), "tcp", "127.0.0.1:2222")
	if err != nil {
		return err
	}
	defer conn.Close()
	client, _, _, err := ssh.NewClientConn(conn, "127.0.0.1:2222", &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		client.Close()
	}
	return err
}

// TestSecretModes: a secret is its owner's, unless the manifest says otherwise.
func TestSecretModes(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	if err := os.Chmod(work, 0o777); err != nil {
		t.Fatal(err)
	}
	o := sandbox.Options{
		Bin: scriptBin(t), Dirs: []string{"/w"}, Volumes: map[string]string{"/w": work},
		Secret: map[string]string{}, Modes: map[string]os.FileMode{},
	}
	want := map[os.FileMode]os.FileMode{
		0o644: 0o600, // the CLI's default
		0o600: 0o600, 0o400: 0o400, 0o700: 0o700, 0o500: 0o700,
		0o640: 0o600, 0o440: 0o400, // as fsGroup makes of 0600 and 0400
		0o444: 0o444, 0o755: 0o755, 0o666: 0o666, // asked for
	}
	for mode := range want {
		name := fmt.Sprintf("%o", mode)
		o.Secret[name], o.Modes[name] = "secret", mode
		o.Args = append(o.Args, "-s", fmt.Sprintf("%s:/w/dir-%s/%s", name, name, name))
	}
	for range 2 {
		c := sandbox.Start(t, o)
		if code := c.Wait(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		for mode, want := range want {
			name := fmt.Sprintf("%o", mode)
			file, err := os.Stat(filepath.Join(work, "dir-"+name, name))
			if err != nil || file.Mode() != want {
				t.Errorf("%s: %v, %v, want %s", name, file.Mode(), err, want)
			}
			dir, err := os.Stat(filepath.Join(work, "dir-"+name))
			if open := err == nil && dir.Mode().Perm() == 0o755; open != (want&7 != 0) {
				t.Errorf("%s: its folder has mode %s, %v", name, dir.Mode(), err)
			}
		}
	}
}

// TestSecretChanges while the pod runs, as when `up` comes from another laptop and
// the pod need not be made anew: its key is let in, and the one before is not.
func TestSecretChanges(t *testing.T) {
	t.Parallel()
	d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	var laptops []identity.UserKey
	for range 2 {
		key, err := identity.LoadOrCreateUserKey(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		laptops = append(laptops, key)
	}
	first, second := laptops[0], laptops[1]
	o.Secret = d.Secret(string(first.AuthorizedKey))
	o.UID, o.GID, o.ReadOnly = 12345, 12345, true
	c := sandbox.Start(t, o)
	ready(c)
	working := connect(t, c, first)
	defer working.Close()
	if err := login(t, c, second); err == nil {
		t.Fatal("a key that is not in the secret is let in")
	}
	c.UpdateSecret(d.Secret(string(second.AuthorizedKey)))
	c.Eventually("the second laptop is let in", func() error { return login(t, c, second) })
	if err := login(t, c, first); err == nil {
		t.Error("the first laptop's key was taken out and is let in")
	}
	if session, err := working.NewSession(); err != nil {
		t.Errorf("a connection from before: %v", err)
	} else {
		session.Close()
	}
	logs(t, c, "the authorized keys have changed")
	if out, err := c.Exec(busybox, "stat", "-c", "%a", contract.AuthorizedKeys); err != nil || out != "600\n" {
		t.Errorf("mode %q, %v", out, err)
	}
}
