package sshd

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/remote/session"
)

// serve runs a server and returns ways to log in and to stop it, which waits for its
// end and is done with the test at the latest.
func serve(t *testing.T, change func(*Options)) (login func() *ssh.Client, stop func()) {
	t.Helper()
	dir := t.TempDir()
	signer, err := ssh.ParsePrivateKey(privateKey(t))
	if err != nil {
		t.Fatal(err)
	}
	opts := Defaults()
	opts.AuthorizedKeys = filepath.Join(dir, "keys")
	opts.HostKey = filepath.Join(dir, "host")
	opts.AgentSocket = ""
	opts.WorkDir = dir
	if err := os.WriteFile(opts.AuthorizedKeys, ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	change(&opts)
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return func() *ssh.Client {
		t.Helper()
		c, err := ssh.Dial("tcp", ln.Addr().String(), &ssh.ClientConfig{
			Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: ssh.FixedHostKey(s.hostKey.PublicKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}, stop
}

// TestPanicEndsItsSessionAlone shows that a fault in one session's code reaches
// neither the others nor the server.
func TestPanicEndsItsSessionAlone(t *testing.T) {
	login, _ := serve(t, func(o *Options) {
		o.Subsystems = map[string]session.Subsystem{"faulty": func(context.Context, io.ReadWriter) error {
			panic("injected by a test")
		}}
	})
	c := login()
	other, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start("read line; exit 5"); err != nil {
		t.Fatal(err)
	}
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"faulty"})); !ok || err != nil {
		t.Fatalf("subsystem: %v %v", ok, err)
	}
	status := uint32(0)
	for req := range reqs {
		if req.Type == "exit-status" {
			status = uint32(req.Payload[3])
		}
	}
	if status != 1 {
		t.Errorf("its status is %d", status)
	}
	_, _ = io.WriteString(in, "\n")
	var exit *ssh.ExitError
	if err := other.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 {
		t.Errorf("the other session ends with %v", err)
	}
	if _, err := login().NewSession(); err != nil {
		t.Errorf("another client: %v", err)
	}
}

// TestEndOfTheServerIsTheEndOfAll stops a server in the middle of everything; what
// it leaves is found after the tests.
func TestEndOfTheServerIsTheEndOfAll(t *testing.T) {
	login, stop := serve(t, func(*Options) {})
	c := login()
	for _, command := range []string{"cat", "yes", "sleep 3600"} {
		sess, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if command != "yes" {
			if err := sess.RequestPty("xterm", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := sess.Start(command); err != nil {
			t.Fatal(err)
		}
	}
	files, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := files.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	l, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial("tcp", l.Addr().String()) // both ways through the server
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if back, err := l.Accept(); err != nil {
		t.Error(err)
	} else if _, err := io.ReadFull(back, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	stop()
	if err := c.Wait(); err == nil {
		t.Error("the client's connection has not ended")
	}
}
