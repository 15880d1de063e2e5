package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/testkit/sshkit"
)

func command(args []string, env map[string]string) (code int, stdout, stderr string) {
	var out, errb bytes.Buffer
	code = run(context.Background(), append([]string{"okteto-remote"}, args...), func(n string) string { return env[n] }, &out, &errb)
	return code, out.String(), errb.String()
}

func TestHelpAndVersion(t *testing.T) {
	code, out, _ := command([]string{"--help"}, nil)
	want(t, "status", code, 0)
	for _, text := range []string{"--address", contract.EnvRemoteAddress, contract.EnvRemotePort, "--allow-rsa-sha1", "default 2222"} {
		want(t, text, strings.Contains(out, text), true)
	}
	code, out, _ = command([]string{"--version"}, nil)
	want(t, "status", code, 0)
	want(t, "version", out, "okteto-remote "+contract.Version+"\n")
}

func TestBadOptionsAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		text string
	}{
		{[]string{"--port", "x"}, nil, "port"},
		{[]string{"--no-such"}, nil, "no-such"},
		{[]string{"stray"}, nil, "stray"},
		{nil, map[string]string{contract.EnvRemotePort: "ssh"}, contract.EnvRemotePort},
		{[]string{"--address", "nowhere"}, nil, "nowhere"},
		{[]string{"--port", "70000"}, nil, "70000"},
		{[]string{"--keepalive-misses", "0"}, nil, "keepalive"},
		{[]string{"--authorized-keys", "/no/such/file"}, nil, "/no/such/file"},
	} {
		code, _, errs := command(c.args, c.env)
		want(t, fmt.Sprint(c.args, c.env, " fails"), code != 0, true)
		want(t, fmt.Sprintf("%v %v: %s", c.args, c.env, errs), strings.Contains(errs, c.text), true)
	}
}

func TestBusyPortIsExplained(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	code, _, errs := command([]string{
		"--port", fmt.Sprint(addrPort(s)), "--authorized-keys", filepath.Join(s.Dir, "authorized_keys"),
		"--host-key", filepath.Join(s.Dir, "state", "host_key"), "--metrics-socket", "", "--agent-socket", "",
	}, nil)
	want(t, "status", code, exitFailure)
	want(t, errs, strings.Contains(errs, "another program has the port"), true)
}

func TestHostKeyIsKeptOverRestarts(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	first := hostKey(t, s)
	again := launchOurs(t, s.Dir)
	want(t, "host key", hostKey(t, again), first)
	want(t, "of another environment differs", hostKey(t, startOurs(t)) != first, true)
	st, err := os.Stat(filepath.Join(s.Dir, "state", "host_key"))
	want(t, fmt.Sprint("mode ", err), st.Mode().Perm(), os.FileMode(0o600))
}

func hostKey(t *testing.T, s *sshkit.Server) string {
	t.Helper()
	conf, got := s.Config(t), ""
	conf.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		got = ssh.FingerprintSHA256(key)
		return nil
	}
	c, err := ssh.Dial("tcp", s.Addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	return got
}

// TestOldClientsNeedTheSwitch shows RSA with SHA-1 signatures, which okteto CLI
// 1.9 to 1.13 send, refused by default and accepted on demand.
func TestOldClientsNeedTheSwitch(t *testing.T) {
	oursOnly(t)
	for _, env := range []string{"X=1", "OKTETO_REMOTE_ALLOW_RSA_SHA1=true"} {
		s := startOurs(t, env)
		addKey(t, s, "rsa", "-t", "rsa", "-b", "2048")
		signer, err := ssh.NewSignerWithAlgorithms(s.Signer(t, "rsa").(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
		if err != nil {
			t.Fatal(err)
		}
		conf := s.Config(t)
		conf.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
		c, err := ssh.Dial("tcp", s.Addr, conf)
		want(t, env+" gets in", err == nil, env != "X=1")
		if err == nil {
			_ = c.Close()
		}
	}
}

// TestFilesArePrivateWhateverTheUmask shows that nobody else can read or replace
// the server's secrets and sockets.
func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	oursOnly(t)
	dir := t.TempDir()
	sshkit.Keys(t, dir)
	old := syscall.Umask(0)
	s := launchOurs(t, dir)
	syscall.Umask(old)
	out := withAgent(t, s, startAgent(t, "k"), "pod", "umask; stat -c %a $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK)")
	want(t, "umask of a session, modes of its agent's socket", out.Stdout, "0000\n600\n700\n")
	for file, mode := range map[string]os.FileMode{"state/host_key": 0o600, "state": 0o700, "m.sock": 0o600} {
		st, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want(t, file, st.Mode().Perm(), mode)
	}
}

// TestServerInATerminal shows that the terminal of a server that leads a session
// is not the one of its sessions (it could not be, and starting them would fail).
func TestServerInATerminal(t *testing.T) {
	oursOnly(t)
	dir := t.TempDir()
	sshkit.Keys(t, dir)
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	cmd, addr := ourProgram(t, dir)
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s := sshkit.Launch(t, cmd, addr, dir)
	_ = slave.Close()
	out, err := inTerminal(t, s, nil, "tty; echo to the terminal >/dev/tty; exit 4")
	want(t, "end", fmt.Sprint(err), "Process exited with status 4")
	want(t, "output: "+out, strings.HasSuffix(out, "to the terminal\r\n") && !strings.HasPrefix(out, slave.Name()+"\r"), true)
	want(t, "without a terminal", s.Exec(t, "", "echo x >/dev/tty").Code != 0, true)
}

// TestLogTellsWhoButNotWhat shows one line per login and per refusal, and no
// command, variable or key in the log.
func TestLogTellsWhoButNotWhat(t *testing.T) {
	oursOnly(t)
	s := startOurs(t, "--verbose")
	cmd := s.SSH("-o", "SetEnv=LC_SECRET=hunter2", "pod", "echo token=hunter3; exit 1")
	sshkit.Run(t, cmd)
	_ = withKey(t, s, filepath.Join(s.Dir, "other"))
	sess, _ := s.Dial(t).NewSession()
	_ = sess.Setenv("HUNTER4", "hunter4")
	_ = sess.RequestSubsystem("hunter5")
	refused := regexp.MustCompile(`(?m)msg="login failed" conn=\d+ peer=127\.0\.0\.1:\d+ reason=key`)
	sshkit.Await(t, "the refusal is logged, with the peer", func() bool { return refused.MatchString(read(t, s.Log)) })
	log := read(t, s.Log)
	want(t, "login with peer", strings.Contains(log, "msg=login conn=") && strings.Contains(log, "peer=127.0.0.1:"), true)
	want(t, "secrets", strings.Contains(strings.ToLower(log), "hunter"), false)
	want(t, "key", strings.Contains(log, "AAAA"), false)
	want(t, "failures counted", metric(t, s, `okteto_remote_auth_failures_total{reason="key"}`), "1")
}

// TestGoSettingsAreTheProgramsOwn shows that variables which the container has for a
// Go program reach sessions, and do nothing to the server, nor to its scp.
func TestGoSettingsAreTheProgramsOwn(t *testing.T) {
	oursOnly(t)
	settings := []string{"GOGC=off", "GODEBUG=gctrace=1", "GOMAXPROCS=7", "GOMEMLIMIT=1MiB", "GOTRACEBACK=crash"}
	s := startOurs(t, settings...)
	out := s.Exec(t, "", "env").Stdout
	for _, kv := range settings {
		want(t, kv, strings.Count("\n"+out, "\n"+kv+"\n"), 1)
	}
	want(t, "held", strings.Contains(out, "OKTETO_HELD"), false)
	want(t, "output", len(s.Exec(t, "", "head -c 20000000 /dev/zero").Stdout), 20_000_000)
	want(t, "GOGC", metric(t, s, "go_gc_gogc_percent") != "-1", true)
	_, log, _ := strings.Cut(read(t, s.Log), "msg=listening") // Go itself may have written before
	want(t, "traces in the log", strings.Contains(log, "\ngc "), false)
}

// TestMetricsStartAtZero shows that dashboards see zero rather than nothing.
func TestMetricsStartAtZero(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	for _, series := range []string{
		`okteto_remote_sessions_total{kind="exec"}`, `okteto_remote_session_exits_total{class="signal"}`,
		`okteto_remote_forwards_total{kind="direct-tcpip"}`, `okteto_remote_forward_listeners{kind="forwarded-tcpip"}`,
		`okteto_remote_session_bytes_total{direction="in",kind="subsystem"}`, `okteto_remote_terminals{state="attached"}`,
		`okteto_remote_sftp_operations_total{operation="open"}`, `okteto_remote_handshake_seconds_count`,
		`okteto_remote_auth_failures_total{reason="timeout"}`, `okteto_remote_connections_active`,
	} {
		want(t, series, metric(t, s, series), "0")
	}
	s.Exec(t, "", "echo x; kill -TERM $$")
	want(t, "signal", metric(t, s, `okteto_remote_session_exits_total{class="signal"}`), "1")
	want(t, "bytes", metric(t, s, `okteto_remote_session_bytes_total{direction="out",kind="exec"}`), "2")
	want(t, "handshakes", metric(t, s, "okteto_remote_handshake_seconds_count"), "1")
}
