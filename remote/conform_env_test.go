package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceEnvironment(t *testing.T) {
	conform(t, []row{
		{id: "C01", what: "SSH_CONNECTION and SSH_CLIENT", test: envConnection},
		{id: "C02", what: "HOME USER LOGNAME SHELL are set", test: envUser},
		{id: "C03", what: "language of the client", test: envLanguage},
		{id: "C04", what: "variables of the dynamic linker are refused", test: envRefused("LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x")},
		{id: "C05", what: "variables that change what a shell runs are refused", test: envRefused(
			"PATH=/x", "BASH_ENV=/x", "ENV=/x", "SHELLOPTS=xtrace", "IFS=x", "BASH_FUNC_ls%%=() { :; }")},
		{id: "C09", what: "variables of the session itself and odd ones are refused", test: envRefused(
			"SSH_AUTH_SOCK=/x", "HOME=/x", "A=B", "=x", "LANG\x00X=1")},
		{id: "C06", what: "the pod's environment reaches the session", test: envPod, sshdFails: "OpenSSH starts from an empty one"},
		{id: "C08", what: "no descriptors leak into the session", test: envDescriptors},
		{id: "G04", what: "sessions of one connection have their own environment", test: envPerSession},
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

func envRefused(variables ...string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		c := s.Dial(tb)
		for _, kv := range variables {
			if s.OpenSSH && strings.Contains(kv, "\x00") {
				continue // ends the connection there
			}
			sess, err := c.NewSession()
			if err != nil {
				tb.Fatal(err)
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
