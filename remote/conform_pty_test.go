package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformancePTY(t *testing.T) {
	conform(t, []row{
		{id: "B01", what: "TERM from the request", test: ptyTerm},
		{id: "B02", what: "initial size", test: ptySize},
		{id: "B03", what: "resize signals and is seen", test: ptyResize},
		{id: "B04", what: "size is set before the start", test: ptySizeRace},
		{id: "B05", what: "size in pixels", test: ptyPixels},
		{id: "B06", what: "terminal modes are applied", test: ptyModes},
		{id: "B07", what: "modes of the local terminal are carried by ssh -t", test: ptyLocalModes},
		{id: "B08", what: "all output before the exit arrives", test: ptyFullOutput},
		{id: "B10", what: "failing command in a terminal: output whole and nothing added", test: ptyFailing},
		{id: "B13", what: "controlling terminal", test: ptyControlling},
		{id: "B14", what: "SSH_TTY names the terminal", test: ptyName},
		{id: "B15", what: "death by a signal in a terminal", test: ptyExitSignal},
		{id: "B18", what: "bytes of the terminal pass unchanged", test: ptyBytes},
		{id: "B22", what: "multibyte erase with IUTF8", test: ptyUTF8},
		{id: "B24", what: "a big paste arrives whole", test: ptyPaste},
		{id: "B25", what: "a flood arrives whole", test: ptyFlood},
		{id: "B26", what: "a thousand resizes at once leave the last one", test: ptyResizeStorm},
	})
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
	want(tb, "size", sizeSeen(tb, s, "stty size"), "33 91\r\n")
}

func ptyPixels(tb testing.TB, s *sshkit.Server) {
	want(tb, "size", sizeSeen(tb, s, pixels), "33 91 910 660\r\n")
}

// sizeSeen by a command in a terminal of 33 rows and 91 columns.
func sizeSeen(tb testing.TB, s *sshkit.Server, command string) string {
	tb.Helper()
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Request("pty-req", true, ptyRequest(91, 33, 910, 660))
	ch.Next()
	ch.Exec(command)
	return string(ch.Record()[0].Data)
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

func ptyBytes(tb testing.TB, s *sshkit.Server) {
	out, _ := inTerminal(tb, s, nil, `stty raw -echo; printf 'a\nb\r\nc\r\r\nd\r'; sleep 0.1; printf '\ne\000\377'`)
	want(tb, "bytes", out, "a\nb\r\nc\r\r\nd\r\ne\x00\xff")
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

func ptyFlood(tb testing.TB, s *sshkit.Server) {
	n := scale(50<<20, 10<<20)
	out, err := inTerminal(tb, s, nil, fmt.Sprintf("stty raw; head -c %d /dev/zero | tr '\\0' x; exit 3", n))
	want(tb, "end", fmt.Sprint(err), "Process exited with status 3")
	want(tb, "bytes", strings.Count(out, "x"), n)
	want(tb, "all bytes", len(out), n)
}

// ptyResizeStorm asks for the size until it is the last one: what is typed does not
// wait for resizes that were sent before.
func ptyResizeStorm(tb testing.TB, s *sshkit.Server) {
	x := terminalOn(tb, s.Dial(tb), nil)
	x.run("echo ready; while read x; do stty size; done")
	x.expect("ready")
	for i := range 1000 {
		_ = x.WindowChange(100+i, 200+i)
	}
	sshkit.Await(tb, "the last size", func() bool {
		x.send("\n")
		return strings.Contains(x.output(), "1099 1199")
	})
	if err := x.Signal(ssh.SIGTERM); err != nil { // requests still get through
		tb.Fatal(err)
	}
	if !s.OpenSSH { // it delivers no signals to a session that runs as root
		want(tb, "end", fmt.Sprint(x.wait()), "Process exited with status 143 from signal \"TERM\"")
	}
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

func ptyFailing(tb testing.TB, s *sshkit.Server) {
	out, err := inTerminal(tb, s, nil, "seq 1 50000; exit 3")
	want(tb, "end", fmt.Sprint(err), "Process exited with status 3")
	lines := strings.Split(out, "\r\n")
	want(tb, "lines", len(lines), 50001)
	want(tb, "last", strings.Join(lines[max(0, len(lines)-2):], "|"), "50000|")
}
