package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformancePTY(t *testing.T) {
	conform(t, []row{
		{id: "B01", what: "TERM from the request", test: ptyTerm},
		{id: "B02", what: "initial size in characters and pixels", test: ptySize},
		{id: "B03", what: "resize signals and is seen", test: ptyResize},
		{id: "B04", what: "size is set before the start", test: ptySizeRace},
		{id: "B06", what: "terminal modes are applied", test: ptyModes},
		{id: "B07", what: "modes of the local terminal are carried by ssh -t", test: ptyLocalModes},
		{id: "B08", what: "all output before the exit arrives", test: ptyFullOutput},
		{id: "B11", what: "interrupt character reaches the foreground", test: ptyInterrupt},
		{id: "B12", what: "job control", test: ptyJobControl},
		{id: "B13", what: "controlling terminal", test: ptyControlling},
		{id: "B14", what: "SSH_TTY names the terminal", test: ptyName},
		{id: "B15", what: "death by a signal in a terminal", test: ptyExitSignal},
		{id: "B16", what: "a killed client hangs up the foreground program", test: ptyHangup("sleep %s")},
		{id: "B17", what: "a killed client ends the interactive shell and its jobs", test: ptyHangupShell},
		{id: "B18", what: "bytes of the terminal pass unchanged", test: ptyBytes},
		{id: "B19", what: "end-of-file character ends cat", test: ptyEOF},
		{id: "B20", what: "a child that holds the terminal does not hang the client", test: ptyHeld},
		{id: "B22", what: "multibyte erase with IUTF8", test: ptyUTF8},
		{id: "B24", what: "a big paste arrives whole", test: ptyPaste},
		{id: "B26", what: "a thousand resizes at once leave the last one", test: ptyResizeStorm},
	})
}

// term is a session with a terminal, driven like expect(1).
type term struct {
	testing.TB
	*ssh.Session
	in  io.WriteCloser
	mu  sync.Mutex
	out bytes.Buffer
	end chan error
}

func terminalOn(tb testing.TB, c *ssh.Client, modes ssh.TerminalModes, env ...string) *term {
	tb.Helper()
	sess, err := c.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	x := &term{TB: tb, Session: sess, end: make(chan error, 1)}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if err := sess.Setenv(name, value); err != nil {
			tb.Fatalf("env %s: %v", name, err)
		}
	}
	if err := sess.RequestPty("xterm-256color", 24, 80, modes); err != nil {
		tb.Fatal(err)
	}
	if x.in, err = sess.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	sess.Stdout, sess.Stderr = x, x
	return x
}

func (x *term) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.Write(p)
}

func (x *term) output() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

func (x *term) run(command string) {
	x.Helper()
	var err error
	if command == "" {
		err = x.Shell()
	} else {
		err = x.Session.Start(command)
	}
	if err != nil {
		x.Fatal(err)
	}
	go func() { x.end <- x.Session.Wait() }()
}

func (x *term) send(s string) {
	x.Helper()
	if _, err := io.WriteString(x.in, s); err != nil {
		x.Fatal(err)
	}
}

// expect waits until the output matches.
func (x *term) expect(pattern string) []string {
	x.Helper()
	re := regexp.MustCompile(pattern)
	var m []string
	if !sshkit.AwaitFor(15*time.Second, func() bool { m = re.FindStringSubmatch(x.output()); return m != nil }) {
		x.Fatalf("no %q in the output %s", pattern, clip(x.output()))
	}
	return m
}

func (x *term) wait() error {
	x.Helper()
	select {
	case err := <-x.end:
		return err
	case <-time.After(20 * time.Second):
		x.Fatalf("the session does not end; output %s", clip(x.output()))
		return nil
	}
}

// inTerminal runs a command in a terminal to its end.
func inTerminal(tb testing.TB, s *sshkit.Server, modes ssh.TerminalModes, command string) (string, error) {
	tb.Helper()
	x := terminalOn(tb, s.Dial(tb), modes)
	x.run(command)
	err := x.wait()
	return x.output(), err
}

func ptyTerm(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, nil, "echo $TERM")
	want(tb, "TERM", out, "xterm-256color\r\n")
}

func ptyRequest(cols, rows, w, h uint32) []byte {
	return ssh.Marshal(struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}{"vt100", cols, rows, w, h, ""})
}

// pixels prints rows, columns, width and height of a terminal.
const pixels = `python3 -c 'import fcntl,struct,termios;print(*struct.unpack("HHHH",fcntl.ioctl(0,termios.TIOCGWINSZ,b"\0"*8)))'`

func ptySize(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Request("pty-req", true, ptyRequest(91, 33, 910, 660))
	ch.Next()
	ch.Exec("stty size; " + pixels)
	out := string(ch.Record()[0].Data)
	want(tb, "size", out, "33 91\r\n33 91 910 660\r\n")
}

func ptyResize(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run(`trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done`)
	x.expect("ready")
	if err := x.WindowChange(50, 132); err != nil {
		tb.Fatal(err)
	}
	x.expect("50 132")
	want(tb, "end", fmt.Sprint(x.wait()), "Process exited with status 5")
}

func ptySizeRace(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	for range scale(200, 30) {
		x := terminalOn(tb, c, nil)
		x.run("stty size")
		_ = x.wait()
		want(tb, "size", x.output(), "24 80\r\n")
	}
}

func ptyModes(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, ssh.TerminalModes{
		ssh.ECHO: 0, ssh.VERASE: 8, ssh.VINTR: 24, ssh.ONLCR: 0, ssh.IXON: 0, ssh.VSTATUS: 255,
	}, "stty -a")
	for _, w := range []string{"-echo ", "erase = ^H", "intr = ^X", "-onlcr", "-ixon"} {
		want(tb, w, strings.Contains(out, w), true)
	}
	if !s.OpenSSH {
		out, _ = inTerminal(tb, s, ssh.TerminalModes{ssh.ECHO: 0, ssh.ECHOCTL: 0, ssh.IGNCR: 1}, "stty -a")
		want(tb, "the original CLI's set is left out", strings.Contains(out, " echo ") && strings.Contains(out, "-igncr"), true)
	}
	out, _ = inTerminal(tb, s, ssh.TerminalModes{ssh.ECHO: 0, ssh.ECHOCTL: 0}, "stty -a")
	want(tb, "another set is applied", strings.Contains(out, "-echo ") && strings.Contains(out, "-echoctl"), true)
}

func ptyFullOutput(tb testing.TB, s *sshkit.Server) {
	for range scale(20, 4) {
		out, err := inTerminal(tb, s, nil, "seq 1 200000; exit 3")
		want(tb, "lines", strings.Count(out, "\r\n"), 200000)
		want(tb, "tail", strings.HasSuffix(out, "\r\n200000\r\n"), true)
		want(tb, "end", fmt.Sprint(err), "Process exited with status 3")
	}
	c := s.Dial(tb)
	for range scale(200, 40) {
		x := terminalOn(tb, c, nil)
		x.run("seq 2000")
		_ = x.wait()
		want(tb, "last line", strings.HasSuffix(x.output(), "\r\n2000\r\n"), true)
	}
}

func ptyInterrupt(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("trap 'echo trapped; exit 9' INT; sleep " + m)
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	x.send("\x03")
	x.expect("trapped")
	want(tb, "end", fmt.Sprint(x.wait()), "Process exited with status 9")
	want(tb, "sleep alive", alive(m), false)
}

func ptyJobControl(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("exec bash --norc -i")
	x.send("PS1='$ '; echo re''ady\n")
	x.expect("ready")
	x.send("sleep " + m + "\n")
	sshkit.Await(tb, "sleep runs", func() bool { return alive(m) })
	x.send("\x1a")
	x.expect("Stopped")
	x.send("jobs; echo jobs''done\n")
	x.expect(`(?s)Stopped.*jobsdone`)
	x.send("fg\n")
	sshkit.Await(tb, "sleep goes on", func() bool {
		for _, pid := range pids("sleep " + m) {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return strings.Contains(string(stat), ") S ")
		}
		return false
	})
	x.send("\x03")
	x.send("echo status $?; exit 0\n")
	x.expect("status 130")
	_ = x.wait()
	want(tb, "warning", strings.Contains(x.output(), "no job control"), false)
}

func ptyControlling(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, nil, "echo to the terminal >/dev/tty; set -- $(cat /proc/$$/stat); echo $1 $5 $6 $8; exit 0")
	f := strings.Fields(strings.TrimPrefix(out, "to the terminal\r\n"))
	if len(f) != 4 || f[0] != f[1] || f[0] != f[2] || f[0] != f[3] {
		tb.Errorf("pid, group, session, foreground differ: %q", out)
	}
}

func ptyName(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, nil, "tty; echo $SSH_TTY")
	lines := strings.Fields(out)
	want(tb, "equal", len(lines) == 2 && lines[0] == lines[1] && strings.HasPrefix(lines[0], "/dev/pts/"), true)
}

func ptyExitSignal(tb testing.TB, s *sshkit.Server) {
	_, err := inTerminal(tb, s, nil, "kill -TERM $$")
	want(tb, "end", fmt.Sprint(err), "Process exited with status 143 from signal \"TERM\"")
}

func ptyHangup(format string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) {
		m := mark()
		killMarked(tb, m)
		cmd := s.SSH("-tt", "pod", fmt.Sprintf(format, m))
		cmd.Stdin, _ = io.Pipe()
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		sshkit.Await(tb, "it runs", func() bool { return alive(m) })
		_ = cmd.Process.Kill()
		go func() { _ = cmd.Wait() }()
		sshkit.Await(tb, "it ends", func() bool { return !alive(m) })
	}
}

func ptyHangupShell(tb testing.TB, s *sshkit.Server) {
	job, shell := mark(), mark()
	killMarked(tb, job)
	killMarked(tb, shell)
	c := s.Dial(tb)
	x := terminalOn(tb, c, nil)
	x.run("")
	x.send("sleep " + job + " & sleep " + shell + "\n")
	sshkit.Await(tb, "both run", func() bool { return alive(job) && alive(shell) })
	_ = c.Close()
	sshkit.Await(tb, "both end", func() bool { return !alive(job) && !alive(shell) })
}

func ptyBytes(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, nil, `stty raw -echo; printf 'a\nb\r\nc\r\r\nd\r'; sleep 0.1; printf '\ne\000\377'`)
	want(tb, "bytes", out, "a\nb\r\nc\r\r\nd\r\ne\x00\xff")
}

func ptyEOF(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), ssh.TerminalModes{ssh.ECHO: 0})
	x.run("cat; echo end")
	x.send("line\n")
	x.expect("line")
	x.send("\x04")
	x.expect("end")
	want(tb, "end", fmt.Sprint(x.wait()), "<nil>")
	if !s.OpenSSH { // the reference hangs
		x := terminalOn(tb, s.Dial(tb), ssh.TerminalModes{ssh.ECHO: 0})
		x.run("cat; echo end")
		x.send("no newline")
		_ = x.in.Close()
		x.expect("no newlineend")
		_ = x.wait()
	}
}

func ptyHeld(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	begin := time.Now()
	out, _ := inTerminal(tb, s, nil, "sleep "+m+" & echo hi")
	want(tb, "output", out, "hi\r\n")
	if time.Since(begin) > 10*time.Second {
		tb.Error("did not return at once")
	}
}

func ptyUTF8(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), ssh.TerminalModes{ssh.ECHO: 0, ssh.VERASE: 127, 42: 1})
	x.run("echo ready; read -r line; printf %s \"$line\" | od -An -tx1")
	x.expect("ready")
	x.send("aé\x7fb\n")
	x.expect("61 62\r\n")
	_ = x.wait()
}

func ptyPaste(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("stty raw -echo; echo ready; head -c 65536 | sha256sum; echo done")
	x.expect("ready")
	data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	x.send(string(data))
	x.expect(sum(data))
	_ = x.wait()
}

func ptyResizeStorm(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("echo ready; read x; stty size; kill -TERM $$; sleep 60")
	x.expect("ready")
	for i := range 1000 {
		_ = x.WindowChange(100+i, 200+i)
	}
	x.send("\n")
	x.expect("1099 1199")
	want(tb, "end", fmt.Sprint(x.wait()), "Process exited with status 143 from signal \"TERM\"")
}

func ptyLocalModes(tb testing.TB, s *sshkit.Server) {
	file := filepath.Join(tb.TempDir(), "modes")
	local := s.SSH("-t", "pod", "stty -a >"+file)
	runInLocalTerminal(tb, local, "stty erase ^H -ixon")
	out, _ := os.ReadFile(file)
	for _, w := range []string{"erase = ^H", "-ixon"} {
		want(tb, w, strings.Contains(string(out), w), true)
	}
}
