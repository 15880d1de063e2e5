package agent_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"okteto/remote/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns the server's side of an SSH connection whose client answers
// each connection to its agent with name.
func connect(t *testing.T, name string) *ssh.ServerConn {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return // the server's side reports it
		}
		// Not ssh.Dial: its client refuses channels until it is told to take them.
		_, channels, requests, err := ssh.NewClientConn(nc, l.Addr().String(), &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for nc := range channels {
			if nc.ChannelType() != "auth-agent@openssh.com" {
				_ = nc.Reject(ssh.UnknownChannelType, "")
				continue
			}
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go ssh.DiscardRequests(reqs)
			_, _ = io.WriteString(ch, name)
			_ = ch.Close()
		}
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conf := &ssh.ServerConfig{NoClientAuth: true}
	conf.AddHostKey(signer)
	server, chans, reqs, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		for nc := range chans {
			_ = nc.Reject(ssh.Prohibited, "")
		}
	}()
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func carry(conn net.Conn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	go ssh.DiscardRequests(reqs)
	_, _ = io.Copy(conn, ch)
	_, _ = conn.Close(), ch.Close()
}

func directory(stable string, bases ...string) *agent.Directory {
	return agent.NewDirectory(stable, bases, slog.New(slog.DiscardHandler))
}

func socket(t *testing.T, f *agent.Forward) string {
	t.Helper()
	path, err := f.Socket()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ask returns who answers at a socket.
func ask(t *testing.T, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSocketIsPrivateAndGoesWithItsConnection(t *testing.T) {
	base := t.TempDir()
	f := directory("", base).NewForward(connect(t, "me"), carry)
	path := socket(t, f)
	if again := socket(t, f); again != path {
		t.Errorf("a second session gets %s, the first has %s", again, path)
	}
	for file, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", file, st.Mode(), err, want)
		}
	}
	if got := ask(t, path); got != "me" {
		t.Errorf("%q answers", got)
	}
	f.Close()
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := f.Socket(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	f.Close() // twice is no harm
}

// TestStablePathLeadsToTheNewest shows that the path follows the connections,
// in whichever order they end.
func TestStablePathLeadsToTheNewest(t *testing.T) {
	base := t.TempDir()
	stable := filepath.Join(t.TempDir(), "agent.sock")
	d := directory(stable, base)
	forwards := map[string]*agent.Forward{}
	open := func(name string) {
		forwards[name] = d.NewForward(connect(t, name), carry)
		socket(t, forwards[name])
	}
	expect := func(want string) {
		t.Helper()
		if got := ask(t, stable); got != want {
			t.Errorf("the stable path leads to %q, want %q", got, want)
		}
	}
	open("one")
	expect("one")
	open("two")
	open("three")
	expect("three")
	forwards["two"].Close()
	expect("three")
	forwards["three"].Close()
	expect("one")
	forwards["one"].Close()
	if _, err := os.Lstat(stable); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path is left: %v", err)
	}
}

func TestPathThatAKilledServerLeftIsRemoved(t *testing.T) {
	stable := filepath.Join(t.TempDir(), "agent.sock")
	if err := os.Symlink("/nowhere", stable); err != nil {
		t.Fatal(err)
	}
	directory(stable, t.TempDir())
	if _, err := os.Lstat(stable); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

func TestSecondBaseIsUsedWhenTheFirstCannotBe(t *testing.T) {
	base := t.TempDir()
	f := directory("", filepath.Join(base, "missing"), base).NewForward(connect(t, "me"), carry)
	defer f.Close()
	if got := filepath.Dir(filepath.Dir(socket(t, f))); got != base {
		t.Errorf("the socket is below %s, want %s", got, base)
	}
	if _, err := directory("", filepath.Join(base, "missing")).NewForward(connect(t, "me"), carry).Socket(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a base: %v", err)
	}
}

// TestClientThatIsGoneClosesItsCallers shows that nobody waits for an agent that
// cannot answer any more.
func TestClientThatIsGoneClosesItsCallers(t *testing.T) {
	conn := connect(t, "me")
	f := directory("", t.TempDir()).NewForward(conn, carry)
	defer f.Close()
	path := socket(t, f)
	_ = conn.Close()
	if got := ask(t, path); got != "" {
		t.Errorf("%q answers", got)
	}
}
