package binimage_test

import (
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
