package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceEnvironment(t *testing.T) {
	asRoot := "OpenSSH delivers no signals to a session that runs as root"
	conform(t, []row{
		{id: "C01", what: "SSH_CONNECTION and SSH_CLIENT", test: envConnection},
		{id: "C02", what: "HOME USER LOGNAME SHELL are set", test: envUser},
		{id: "C03", what: "language of the client", test: envLanguage},
		{id: "C04", what: "variables that run code are refused", test: envRefused},
		{id: "C06", what: "the pod's environment reaches the session", test: envPod, sshdFails: "OpenSSH starts from an empty one"},
		{id: "C08", what: "no descriptors leak into the session", test: envDescriptors},
		{id: "G04", what: "sessions of one connection have their own environment", test: envPerSession},
		{id: "D01", what: "signal requests are delivered", test: signals, sshdFails: asRoot},
		{id: "D02", what: "signals reach the foreground of a terminal", test: signalsInTerminal, sshdFails: asRoot},
	})
}

func envConnection(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec(`echo "$SSH_CONNECTION|$SSH_CLIENT"`)
	_, port, _ := net.SplitHostPort(ch.Conn.LocalAddr().String())
	host, sport, _ := net.SplitHostPort(s.Addr)
	want(tb, "variables", string(ch.Record()[0].Data),
		fmt.Sprintf("127.0.0.1 %s %s %s|127.0.0.1 %s %s\n", port, host, sport, port, sport))
}

func envUser(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", `echo $HOME:$USER:$LOGNAME; test -x "$SHELL" && echo shell`)
	want(tb, "variables", r.Stdout, "/root:root:root\nshell\n")
}

func envLanguage(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-o", "SendEnv=LANG LC_*", "pod", "echo $LANG $LC_ALL $LC_TIME")
	cmd.Env = append(os.Environ(), "LANG=de_DE.UTF-8", "LC_ALL=C.UTF-8", "LC_TIME=fr_FR.UTF-8")
	want(tb, "variables", sshkit.Run(tb, cmd).Stdout, "de_DE.UTF-8 C.UTF-8 fr_FR.UTF-8\n")
}

func envRefused(tb testing.TB, s *sshkit.Server) {
	for _, kv := range []string{
		"LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x", "PATH=/x", "BASH_ENV=/x", "ENV=/x", "SHELLOPTS=xtrace",
		"IFS=x", "SSH_AUTH_SOCK=/x", "HOME=/x", "BASH_FUNC_ls%%=() { :; }", "A=B", "=x", "LANG\x00X=1",
	} {
		sess, err := s.Dial(tb).NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		if s.OpenSSH && strings.Contains(kv, "\x00") {
			continue // ends the connection there
		}
		name, value, _ := strings.Cut(kv, "=")
		want(tb, kv+" accepted", sess.Setenv(name, value) == nil, false)
		out, err := sess.Output("env")
		if err != nil {
			tb.Fatal(err)
		}
		want(tb, kv+" seen", strings.Contains("\n"+string(out), "\n"+kv+"\n"), false)
	}
}

func envPod(tb testing.TB, s *sshkit.Server) {
	want(tb, "variable", s.Exec(tb, "", "echo $OKTETO_POD_VARIABLE").Stdout, "from the pod\n")
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("echo $OKTETO_POD_VARIABLE")
	_ = x.wait()
	want(tb, "variable", x.output(), "from the pod\r\n")
}

func envDescriptors(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb) // has descriptors of its own in the server
	l, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out := s.Exec(tb, "", "ls /proc/self/fd").Stdout
			want(tb, "descriptors", strings.Join(strings.Fields(out), " "), "0 1 2 3") // 3 is ls's own
		}()
	}
	wg.Wait()
	out, _ := inTerminal(tb, s, nil, "ls /proc/self/fd")
	want(tb, "descriptors", strings.Join(strings.Fields(out), " "), "0 1 2 3")
}

func envPerSession(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	a, _ := c.NewSession()
	if err := a.Setenv("LC_TEST", "a"); err != nil {
		tb.Fatal(err)
	}
	b, _ := c.NewSession()
	out, _ := b.Output("echo [$LC_TEST]")
	want(tb, "other session", string(out), "[]\n")
	out, _ = a.Output("echo [$LC_TEST]")
	want(tb, "own session", string(out), "[a]\n")
}

func signals(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, sig := range []ssh.Signal{ssh.SIGTERM, ssh.SIGINT, ssh.SIGHUP, ssh.SIGKILL, ssh.SIGUSR1} {
		sess, err := c.NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		m := mark()
		killMarked(tb, m)
		if err := sess.Start("sleep " + m); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
		if err := sess.Signal(sig); err != nil {
			tb.Fatal(err)
		}
		end := make(chan error, 1)
		go func() { end <- sess.Wait() }()
		select {
		case err := <-end:
			exit, ok := err.(*ssh.ExitError)
			want(tb, "ended by "+string(sig), ok && exit.Signal() == string(sig), true)
		case <-time.After(5 * time.Second):
			tb.Errorf("%s was not delivered", sig)
			_ = sess.Close()
		}
	}
}

func signalsInTerminal(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("exec bash --norc -i")
	x.send("sleep " + m + "; echo ended $?\n")
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	if err := x.Signal(ssh.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	x.expect("ended 143")
}

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
