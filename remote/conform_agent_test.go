package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceAgent(t *testing.T) {
	conform(t, []row{
		{id: "E01", what: "the forwarded agent answers", test: agentAnswers},
		{id: "E02", what: "the socket is private and removed at the end", test: agentPrivate},
		{id: "E03", what: "parallel requests", test: agentParallel},
		{
			id: "E04", what: "a session without a request has no agent", test: agentOnlyOnRequest,
			sshdFails: "OpenSSH gives the variable to all sessions of the connection",
		},
		{id: "E05", what: "removed when the client is killed", test: agentRemoved},
		{id: "E06", what: "lives as long as the connection, not the first session", test: agentOutlivesSession},
	})
}

// startAgent serves an agent with one key on a socket.
func startAgent(tb testing.TB, comment string) string {
	tb.Helper()
	ring := sshagent.NewKeyring()
	key := newKey(tb)
	if err := ring.Add(sshagent.AddedKey{PrivateKey: key, Comment: comment}); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = sshagent.ServeAgent(ring, conn) }()
		}
	}()
	return path
}

// withAgent runs ssh -A with the agent.
func withAgent(tb testing.TB, s *sshkit.Server, sock string, args ...string) sshkit.Result {
	tb.Helper()
	cmd := s.SSH(append([]string{"-A"}, args...)...)
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+sock)
	return sshkit.Run(tb, cmd)
}

func agentAnswers(tb testing.TB, s *sshkit.Server) {
	r := withAgent(tb, s, startAgent(tb, "laptop key"), "pod", "ssh-add -l")
	want(tb, "key listed", strings.Contains(r.Stdout, "laptop key"), true)
}

func agentPrivate(tb testing.TB, s *sshkit.Server) {
	r := withAgent(tb, s, startAgent(tb, "k"), "pod", `stat -c %a "$(dirname $SSH_AUTH_SOCK)"; echo $SSH_AUTH_SOCK`)
	f := strings.Fields(r.Stdout)
	if len(f) != 2 || f[0] != "700" {
		tb.Fatalf("got %q %q", r.Stdout, r.Stderr)
	}
	sshkit.Await(tb, "directory is removed", func() bool {
		_, err := os.Stat(filepath.Dir(f[1]))
		return os.IsNotExist(err)
	})
}

func agentParallel(tb testing.TB, s *sshkit.Server) {
	r := withAgent(tb, s, startAgent(tb, "k"), "pod", `for i in $(seq 20); do ssh-add -l & done; wait`)
	want(tb, "answers", strings.Count(r.Stdout, "ED25519"), 20)
}

func agentOnlyOnRequest(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	a, _ := c.NewSession()
	if err := sshagent.RequestAgentForwarding(a); err != nil {
		tb.Fatal(err)
	}
	out, _ := a.Output("echo $SSH_AUTH_SOCK")
	want(tb, "has one", len(out) > 1, true)
	b, _ := c.NewSession()
	out, _ = b.Output("echo $SSH_AUTH_SOCK")
	want(tb, "has none", string(out), "\n")
}

func agentRemoved(tb testing.TB, s *sshkit.Server) {
	file := filepath.Join(tb.TempDir(), "path")
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("-A", "pod", "echo $SSH_AUTH_SOCK >"+file+"; sleep "+m)
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+startAgent(tb, "k"))
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	sshkit.Await(tb, "it runs", func() bool { return alive(m) })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	path, _ := os.ReadFile(file)
	sock := strings.TrimSpace(string(path))
	want(tb, "has a socket", sock != "", true)
	sshkit.Await(tb, "socket is removed", func() bool { _, err := os.Stat(filepath.Dir(sock)); return os.IsNotExist(err) })
}

func agentOutlivesSession(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	ring := sshagent.NewKeyring()
	if err := ring.Add(sshagent.AddedKey{PrivateKey: newKey(tb), Comment: "kept"}); err != nil {
		tb.Fatal(err)
	}
	if err := sshagent.ForwardToAgent(c, ring); err != nil {
		tb.Fatal(err)
	}
	a, _ := c.NewSession()
	if err := sshagent.RequestAgentForwarding(a); err != nil {
		tb.Fatal(err)
	}
	sock, _ := a.Output("echo -n $SSH_AUTH_SOCK")
	b, _ := c.NewSession()
	out, err := b.CombinedOutput("SSH_AUTH_SOCK=" + string(sock) + " ssh-add -l")
	want(tb, fmt.Sprintf("key listed (%v)", err), strings.Contains(string(out), "kept"), true)
}

// TestStableAgentPath shows that one path always leads to the newest live
// connection with an agent.
func TestStableAgentPath(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	stable := filepath.Join(s.Dir, "agent.sock")
	connect := func(comment string) *ssh.Client {
		c := s.Dial(t)
		ring := sshagent.NewKeyring()
		if err := ring.Add(sshagent.AddedKey{PrivateKey: newKey(t), Comment: comment}); err != nil {
			t.Fatal(err)
		}
		if err := sshagent.ForwardToAgent(c, ring); err != nil {
			t.Fatal(err)
		}
		sess, _ := c.NewSession()
		if err := sshagent.RequestAgentForwarding(sess); err != nil {
			t.Fatal(err)
		}
		_ = sess.Run("true")
		return c
	}
	leadsTo := func(comment string) {
		t.Helper()
		sshkit.Await(t, "the path leads to "+comment, func() bool {
			conn, err := net.Dial("unix", stable)
			if err != nil {
				return comment == ""
			}
			defer conn.Close()
			keys, err := sshagent.NewClient(conn).List()
			return err == nil && len(keys) == 1 && keys[0].Comment == comment
		})
	}
	first := connect("first")
	leadsTo("first")
	second := connect("second")
	leadsTo("second")
	_ = second.Close()
	leadsTo("first")
	third := connect("third")
	_ = first.Close()
	leadsTo("third")
	_ = third.Close()
	leadsTo("")
	if _, err := os.Lstat(stable); !os.IsNotExist(err) {
		t.Errorf("a link without an agent is left: %v", err)
	}
}
