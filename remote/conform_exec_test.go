package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceExec(t *testing.T) {
	const group = "OpenSSH leaves the process group of a lost client running"
	conform(t, []row{
		{id: "A01", what: "exit codes 0 to 255", test: exitCodes},
		{id: "A02", what: "death by a signal is told by name", test: exitSignals},
		{id: "A04", what: "stdin half close", test: halfClose},
		{id: "A05", what: "big stdin arrives whole", test: bigStdin},
		{id: "A06", what: "big stdout arrives whole", test: bigStdout},
		{id: "A07", what: "both ways at once", test: bothWays},
		{id: "A08", what: "stderr is separate and nothing is added", test: stderrSeparate},
		{id: "A11", what: "a redirected background child returns at once and survives", test: backgroundChild},
		{
			id: "A12", what: "a background child that holds stdout does not hang the client", test: heldStdout,
			sshdFails: "OpenSSH waits for the end of the output",
		},
		{id: "A13", what: "a killed client takes its command along", test: killedClient("sleep %s"), sshdFails: group},
		{id: "A14", what: "a killed client takes its pipeline along", test: killedClient("sleep %s | cat; true"), sshdFails: group},
		{id: "A15", what: "daemons survive a killed client", test: daemonsSurvive},
		{id: "A17", what: "a reset connection ends the command", test: resetEndsCommand, sshdFails: group},
		{id: "A18", what: "unread stdin does not hang", test: unreadStdin},
		{id: "A19", what: "streams closed early, status later", test: closedEarly},
		{id: "A20", what: "script on stdin without a command", test: scriptOnStdin},
		{id: "A22", what: "all bytes pass unchanged", test: allBytes},
		{id: "A23", what: "127 and 126 with the shell's message", test: notFound},
		{id: "A24", what: "command line of 120 KB", test: longCommand},
		{id: "A25", what: "data, eof, exit-status, close, in this order", test: orderOnChannel},
		{id: "A26", what: "a slow reader loses nothing", test: slowReader},
		{id: "A27", what: "big output and exit at once", test: bigOutputThenExit},
		{id: "A28", what: "a second program on a channel is refused", test: secondExec},
		{id: "A29", what: "a client that reads no more ends the writer", test: brokenPipe},
		{id: "A30", what: "a tree through tar both ways", test: tarTree},
	})
}

func exitCodes(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	step := scale(1, 5)
	for code := 0; code <= 255; code += step {
		sess, err := c.NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		got := 0
		if err := sess.Run(fmt.Sprintf("exit %d", code)); err != nil {
			exit, ok := err.(*ssh.ExitError)
			if !ok {
				tb.Fatalf("exit %d: %v", code, err)
			}
			got = exit.ExitStatus()
		}
		want(tb, "exit status", got, code)
	}
	want(tb, "exit status of ssh", s.Exec(tb, "", "exit 42").Code, 42)
	want(tb, "exit status of ssh", s.Exec(tb, "", "exit 255").Code, 255)
}

func exitSignals(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for _, name := range []string{"TERM", "KILL", "SEGV", "INT", "HUP", "USR1", "ABRT", "PIPE"} {
		sess, err := c.NewSession()
		if err != nil {
			tb.Fatal(err)
		}
		exit, ok := sess.Run("ulimit -c 0; kill -" + name + " $$").(*ssh.ExitError)
		if !ok || exit.Signal() != name {
			tb.Errorf("kill -%s: got %v", name, exit)
		}
	}
}

func halfClose(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "x\n", "cat; echo after")
	want(tb, "output", r.Stdout, "x\nafter\n")
}

// noise is reproducible random data.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewSource(int64(n)))
	_, _ = r.Read(b)
	return b
}

func big() int { return scale(200<<20, 24<<20) }

func bigStdin(tb testing.TB, s *sshkit.Server) {
	data := noise(big())
	cmd := s.SSH("pod", "sha256sum")
	cmd.Stdin = bytes.NewReader(data)
	want(tb, "checksum", strings.Fields(sshkit.Run(tb, cmd).Stdout)[0], fmt.Sprintf("%x", sha256.Sum256(data)))
}

func bigStdout(tb testing.TB, s *sshkit.Server) {
	file := filepath.Join(tb.TempDir(), "data")
	data := noise(big())
	if err := os.WriteFile(file, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	want(tb, "equal", s.Exec(tb, "", "cat "+file).Stdout == string(data), true)
}

func bothWays(tb testing.TB, s *sshkit.Server) {
	data := noise(big())
	cmd := s.SSH("pod", "cat")
	cmd.Stdin = bytes.NewReader(data)
	want(tb, "equal", sshkit.Run(tb, cmd).Stdout == string(data), true)
}

func stderrSeparate(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "echo out; echo err >&2; exit 3")
	want(tb, "stdout", r.Stdout, "out\n")
	want(tb, "stderr", r.Stderr, "err\n")
	want(tb, "status", r.Code, 3)
	want(tb, "stderr of a silent failure", s.Exec(tb, "", "exit 9").Stderr, "")
}

func killMarked(tb testing.TB, m string) {
	tb.Cleanup(func() {
		for _, pid := range pids("sleep " + m) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

func backgroundChild(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	begin := time.Now()
	r := s.Exec(tb, "", "sleep "+m+" >/dev/null 2>&1 </dev/null & echo started")
	want(tb, "output", r.Stdout, "started\n")
	if time.Since(begin) > 10*time.Second {
		tb.Error("did not return at once")
	}
	sshkit.Await(tb, "the child lives", func() bool { return alive(m) })
}

func heldStdout(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("pod", "sleep "+m+" & echo hi; exit 5")
	if s.OpenSSH {
		cmd.WaitDelay = 0
		time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
	}
	r := sshkit.Run(tb, cmd)
	want(tb, "output", r.Stdout, "hi\n")
	want(tb, "status", r.Code, 5)
	sshkit.Await(tb, "the child lives", func() bool { return alive(m) })
}

func killedClient(format string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		m := mark()
		killMarked(tb, m)
		cmd := s.SSH("pod", fmt.Sprintf(format, m))
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "the command runs", func() bool { return alive(m) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		awaitGone(tb, s, m)
	}
}

// awaitGone waits for the end of a marked sleep; the reference, expected to
// fail, gets less time.
func awaitGone(tb testing.TB, s *sshkit.Server, m string) {
	tb.Helper()
	d := 20 * time.Second
	if s.OpenSSH {
		d = 3 * time.Second
	}
	if !sshkit.AwaitFor(d, func() bool { return !alive(m) }) {
		tb.Error("the command lives on")
	}
}

func daemonsSurvive(tb testing.TB, s *sshkit.Server) {
	for _, how := range []string{"nohup sleep %s >/dev/null 2>&1 & sleep %s", "setsid sleep %s & sleep %s", "nohup sleep %s & sleep %s"} {
		daemon, other := mark(), mark()
		killMarked(tb, daemon)
		killMarked(tb, other)
		cmd := s.SSH("pod", fmt.Sprintf(how, daemon, other))
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "both run", func() bool { return alive(daemon) && alive(other) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if !s.OpenSSH {
			awaitGone(tb, s, other)
		}
		want(tb, "daemon alive: "+how, alive(daemon), true)
	}
}

func resetEndsCommand(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	c := s.RawDial(tb)
	c.Open("session", 1<<20, nil).Exec("sleep " + m)
	sshkit.Await(tb, "the command runs", func() bool { return alive(m) })
	resetConn(c.Conn)
	awaitGone(tb, s, m)
}

func unreadStdin(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("pod", "true")
	cmd.Stdin = io.LimitReader(zeros{}, int64(scale(100<<20, 20<<20)))
	want(tb, "status", sshkit.Run(tb, cmd).Code, 0)
	// A command that closes its stdin and goes on.
	cmd = s.SSH("pod", "exec <&-; sleep 0.3; echo done; exit 4")
	cmd.Stdin = io.LimitReader(zeros{}, 20<<20)
	r := sshkit.Run(tb, cmd)
	want(tb, "output", r.Stdout, "done\n")
	want(tb, "status", r.Code, 4)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func closedEarly(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "echo x; exec >&- 2>&-; sleep 0.5; exit 7")
	want(tb, "output", r.Stdout, "x\n")
	want(tb, "status", r.Code, 7)
}

func scriptOnStdin(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("-T", "pod")
	cmd.Stdin = strings.NewReader("echo one\necho two\nexit 6\n")
	r := sshkit.Run(tb, cmd)
	want(tb, "output", r.Stdout, "one\ntwo\n")
	want(tb, "status", r.Code, 6)
	for _, sh := range []string{"bash", "sh -s", "bash -s -- a b"} {
		r := s.Exec(tb, "echo args $#\nexit 8\n", sh)
		want(tb, sh+" status", r.Code, 8)
		want(tb, sh+" ran", strings.HasPrefix(r.Stdout, "args "), true)
	}
}

func allBytes(tb testing.TB, s *sshkit.Server) {
	data := make([]byte, 0, 1<<16)
	for i := range 256 {
		for j := range 256 {
			data = append(data, byte(i), byte(j))
		}
	}
	want(tb, "equal", s.Exec(tb, string(data), "cat").Stdout == string(data), true)
}

func notFound(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "no-such-command-here")
	want(tb, "status", r.Code, 127)
	want(tb, "message", strings.Contains(r.Stderr, "not found"), true)
	file := filepath.Join(tb.TempDir(), "plain")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		tb.Fatal(err)
	}
	want(tb, "status", s.Exec(tb, "", file).Code, 126)
}

func longCommand(tb testing.TB, s *sshkit.Server) {
	text := strings.Repeat("a", 120<<10)
	want(tb, "length", s.Exec(tb, "", "printf %s "+text+" | wc -c").Stdout, fmt.Sprintln(len(text)))
}

func orderOnChannel(tb testing.TB, s *sshkit.Server) {
	for range scale(50, 10) {
		ch := s.RawDial(tb).Open("session", 1<<20, nil)
		ch.Exec("echo x; exit 3")
		frames := ch.Record()
		got := sshkit.Kinds(frames)
		status := slices.Index(got, "exit-status")
		if s.OpenSSH && status == 1 { // the reference sends it before or after EOF
			got[1], got[2] = got[2], got[1]
		}
		if ok := []string{"data", "eof", "exit-status", "close"}; !slices.Equal(got, ok) {
			tb.Fatalf("got %v, want %v", got, ok)
		}
		want(tb, "status", string(frames[status].Data), "\x00\x00\x00\x03")
		_ = ch.Conn.Close()
	}
}

func slowReader(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1000, nil)
	ch.Exec("seq 1 20000; echo end >&2; exit 2")
	var out, errs bytes.Buffer
	var last []string
	for {
		f := ch.Next()
		switch f.Kind {
		case "data":
			out.Write(f.Data)
		case "stderr":
			errs.Write(f.Data)
		default:
			last = append(last, f.Kind)
		}
		if f.Kind == "close" {
			break
		}
		if ch.Window == 0 {
			ch.Adjust(4000)
		}
	}
	want(tb, "lines", strings.Count(out.String(), "\n"), 20000)
	want(tb, "stderr", errs.String(), "end\n")
	if !s.OpenSSH {
		want(tb, "end", fmt.Sprint(last), "[eof exit-status close]")
	}
}

func bigOutputThenExit(tb testing.TB, s *sshkit.Server) {
	for range scale(20, 5) {
		r := s.Exec(tb, "", "head -c 8388608 /dev/zero; exit 1")
		want(tb, "bytes", len(r.Stdout), 8<<20)
		want(tb, "status", r.Code, 1)
	}
}

func secondExec(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec("sleep 1; exit 3")
	ch.Request("exec", true, ssh.Marshal(struct{ C string }{"echo second"}))
	kinds := fmt.Sprint(sshkit.Kinds(ch.Record()))
	if !strings.Contains(kinds, "failure") || strings.Contains(kinds, "data") {
		tb.Errorf("got %s", kinds)
	}
}

func brokenPipe(tb testing.TB, s *sshkit.Server) {
	cmd := s.SSH("pod", "yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_, _ = io.ReadFull(out, make([]byte, 100))
	_ = out.Close()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		tb.Error("ssh host yes | head does not end")
	}
}

func tarTree(tb testing.TB, s *sshkit.Server) {
	src, dst, back := tb.TempDir(), tb.TempDir(), tb.TempDir()
	for i := range 200 {
		dir := filepath.Join(src, fmt.Sprintf("d%d", i%7), "sub")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), noise(i*100), 0o640); err != nil {
			tb.Fatal(err)
		}
	}
	shell := func(script string) {
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if err != nil {
			tb.Errorf("%v: %s", err, out)
		}
	}
	shell(fmt.Sprintf("tar -C %s -c . | %s pod 'tar -C %s -x'", src, s.Shell(), dst))
	shell(fmt.Sprintf("%s pod 'tar -C %s -c .' | tar -C %s -x", s.Shell(), dst, back))
	shell(fmt.Sprintf("diff -r %s %s && diff -r %s %s", src, dst, src, back))
}
