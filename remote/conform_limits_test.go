package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceLimits shows what is out of turn, out of range or too much.
func TestConformanceLimits(t *testing.T) {
	conform(t, []row{
		{id: "A31", what: "death with a dump of memory is told so", test: coreDumped},
		{id: "F32", what: "destinations that cannot be are refused with the reason", test: impossibleTargets},
		{id: "F33", what: "remote forwards that cannot be are refused", test: impossibleListeners},
		{id: "L11", what: "sessions are bounded", test: boundedSessions},
		{id: "L12", what: "forwarded connections are bounded", test: boundedForwards},
		{id: "L13", what: "remote forwards are bounded", test: boundedListeners},
		{id: "N13", what: "a wrong guess of the key exchange is ignored", test: wrongGuess},
		{id: "N14", what: "a program that ends while the window is closed", test: endInClosedWindow},
		{id: "N15", what: "extended data and data after EOF harm nothing", test: dataOutOfTurn},
		{id: "N16", what: "requests out of their turn are refused", test: requestsOutOfTurn},
		{id: "N17", what: "commands that are no text, or too long", test: oddCommands},
	})
}

// coreDumped compares with what this machine does: it may dump nothing.
func coreDumped(tb testing.TB, s *sshkit.Server) {
	crash := "cd " + tb.TempDir() + "; ulimit -c unlimited; kill -SEGV $$"
	local := exec.Command("bash", "-c", crash)
	_ = local.Run()
	dumps := local.ProcessState.Sys().(syscall.WaitStatus).CoreDump()
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec(crash)
	frames := ch.Record()
	i := slices.IndexFunc(frames, func(f sshkit.Frame) bool { return f.Kind == "exit-signal" })
	if i < 0 {
		tb.Fatalf("frames: %v", sshkit.Kinds(frames))
	}
	var msg struct {
		Signal         string
		Core           bool
		Text, Language string
	}
	want(tb, "exit-signal", ssh.Unmarshal(frames[i].Data, &msg), error(nil))
	want(tb, "signal", msg.Signal, "SEGV")
	want(tb, "dump of memory", msg.Core, dumps)
}

// refusal opens a channel and returns the reason for which it is refused.
func refusal(c *ssh.Client, kind string, payload []byte) (ssh.RejectionReason, error) {
	ch, reqs, err := c.OpenChannel(kind, payload)
	if err == nil {
		go ssh.DiscardRequests(reqs)
		_ = ch.Close()
		return 0, errors.New("it is opened")
	}
	var open *ssh.OpenChannelError
	if !errors.As(err, &open) {
		return 0, err
	}
	return open.Reason, nil
}

func impossibleTargets(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	socket := func(path string) []byte {
		return ssh.Marshal(struct {
			Path, Reserved string
			Zero           uint32
		}{path, "", 0})
	}
	dir := tb.TempDir()
	for _, x := range []struct {
		what, kind string
		payload    []byte
	}{
		{"port 0", "direct-tcpip", directTCPIP("127.0.0.1", 0)},
		{"a name that nobody has", "direct-tcpip", directTCPIP("no-such-host.invalid", 80)},
		{"a name that is none", "direct-tcpip", directTCPIP("no such\x01host", 80)},
		{"no socket", "direct-streamlocal@openssh.com", socket(dir + "/none")},
		{"a folder", "direct-streamlocal@openssh.com", socket(dir)},
		{"a path longer than a socket's", "direct-streamlocal@openssh.com", socket(dir + "/" + strings.Repeat("x", 200))},
		{"no path", "direct-streamlocal@openssh.com", socket("")},
	} {
		reason, err := refusal(c, x.kind, x.payload)
		want(tb, fmt.Sprint(x.what, ": ", err), reason, ssh.ConnectionFailed)
	}
	reason, err := refusal(c, "direct-tcpip", directTCPIP("127.0.0.1", 65536))
	want(tb, fmt.Sprint("port 65536: ", err), reason == ssh.ConnectionFailed || reason == ssh.Prohibited, true)
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	conn, err := c.Dial("tcp", l.Addr().String())
	want(tb, "after that", err, error(nil))
	_ = conn.Close()
}

func impossibleListeners(tb testing.TB, s *sshkit.Server) {
	c := s.Dial(tb)
	ask := func(name string, payload []byte) bool {
		tb.Helper()
		ok, _, err := c.SendRequest(name, true, payload)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		return ok
	}
	forward := func(host string, port uint32) bool { return ask("tcpip-forward", ssh.Marshal(bindMsg{host, port})) }
	cancel := func(host string, port uint32) bool {
		return ask("cancel-tcpip-forward", ssh.Marshal(bindMsg{host, port}))
	}
	if !s.OpenSSH { // it ends the connection
		want(tb, "port 65536", forward("127.0.0.1", 65536), false)
	}
	want(tb, "an address of another machine", forward("192.0.2.1", 0), false)
	want(tb, "a name that nobody has", forward("no-such-host.invalid", 0), false)
	port := uint32(sshkit.FreePort(tb))
	want(tb, "a port", forward("127.0.0.1", port), true)
	want(tb, "the same port", forward("127.0.0.1", port), false)
	want(tb, "cancel by another name", cancel("127.0.0.2", port), false)
	want(tb, "cancel", cancel("127.0.0.1", port), true)
	want(tb, "cancel again", cancel("127.0.0.1", port), false)
	want(tb, "the port again", forward("127.0.0.1", port), true)

	dir := tb.TempDir()
	write(tb, dir+"/file", []byte("kept"))
	socket := func(path string) bool {
		return ask("streamlocal-forward@openssh.com", ssh.Marshal(struct{ P string }{path}))
	}
	want(tb, "a path longer than a socket's", socket(dir+"/"+strings.Repeat("x", 200)), false)
	want(tb, "in no folder", socket(dir+"/none/s"), false)
	if !s.OpenSSH { // it removes the file
		want(tb, "in the place of a file", socket(dir+"/file"), false)
		want(tb, "the file", read(tb, dir+"/file"), "kept")
	}
}

func boundedSessions(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("it is set to 1000 here")
	}
	c := startOurs(tb, "--max-sessions=2").Dial(tb)
	bounded(tb, c, "session", nil)
}

func boundedForwards(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("it has no such bound")
	}
	c := startOurs(tb, "--max-forwards=2").Dial(tb)
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	bounded(tb, c, "direct-tcpip", directTCPIP("127.0.0.1", portOf(l)))
}

// bounded opens two channels of a kind; the third is refused until one is closed.
func bounded(tb testing.TB, c *ssh.Client, kind string, payload []byte) {
	tb.Helper()
	var open []ssh.Channel
	for range 2 {
		ch, reqs, err := c.OpenChannel(kind, payload)
		if err != nil {
			tb.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		open = append(open, ch)
	}
	reason, err := refusal(c, kind, payload)
	want(tb, fmt.Sprint("the third: ", err), reason, ssh.ResourceShortage)
	_ = open[0].Close()
	sshkit.Await(tb, "there is room again", func() bool {
		reason, _ := refusal(c, kind, payload)
		return reason == 0
	})
}

func boundedListeners(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("it has no such bound")
	}
	c := startOurs(tb, "--max-listeners=2").Dial(tb)
	var open []net.Listener
	for range 2 {
		l, err := c.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		open = append(open, l)
	}
	_, err := c.Listen("tcp", "127.0.0.1:0")
	want(tb, "the third is refused", err != nil, true)
	_ = open[0].Close()
	_, err = c.Listen("tcp", "127.0.0.1:0")
	want(tb, "there is room again", err, error(nil))
}

func wrongGuess(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDialGuess(tb).Open("session", 1<<20, nil)
	ch.Exec("echo in")
	want(tb, "output", string(ch.Record()[0].Data), "in\n")
}

func endInClosedWindow(tb testing.TB, s *sshkit.Server) {
	file := filepath.Join(tb.TempDir(), "ended")
	ch := s.RawDial(tb).Open("session", 10, nil)
	ch.Exec("seq 1 20; echo err >&2; touch " + file + "; exit 9")
	sshkit.Await(tb, "it has ended", func() bool { _, err := os.Stat(file); return err == nil })
	frames := []sshkit.Frame{ch.Next()} // all that the window takes
	ch.Adjust(1000)
	frames = append(frames, ch.Record()...)
	want(tb, "lines", strings.Count(sshkit.Text(frames, "data"), "\n"), 20)
	want(tb, "stderr", sshkit.Text(frames, "stderr"), "err\n")
	kinds := slices.DeleteFunc(sshkit.Kinds(frames), func(k string) bool { return k == "data" || k == "stderr" })
	inOrder(tb, s, kinds, "eof", "exit-status", "close")
}

func dataOutOfTurn(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	ch := c.Open("session", 1<<20, nil)
	ch.Exec("cat; echo end")
	for _, kind := range []uint32{1, 7} {
		c.Send(append([]byte{sshkit.MsgChannelExtended}, ssh.Marshal(struct {
			ID, Kind uint32
			Data     []byte
		}{ch.Remote, kind, []byte("extended")})...))
	}
	ch.Write([]byte("in\n"))
	ch.EOF()
	frames := ch.Record()
	want(tb, "output", sshkit.Text(frames, "data"), "in\nend\n")
	ch.Close()

	ch = c.Open("session", 1<<20, nil)
	ch.Exec("cat >/dev/null; read line || echo end")
	ch.EOF()
	ch.Write([]byte("after the end\n"))
	want(tb, "a session with data after EOF", slices.Contains(sshkit.Kinds(ch.Record()), "exit-status"), true)
}

func requestsOutOfTurn(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	refused := func(name string, payload []byte) {
		tb.Helper()
		ch.Request(name, true, payload)
		want(tb, name, ch.Next().Kind, "failure")
	}
	size := ssh.Marshal(struct{ C, R, W, H uint32 }{90, 30, 0, 0})
	if !s.OpenSSH {
		refused("window-change", size)
		refused("signal", field("TERM"))
	}
	ch.Request("pty-req", true, ptyRequest(80, 24, 0, 0))
	want(tb, "pty-req", ch.Next().Kind, "success")
	if !s.OpenSSH { // it ends the connection
		refused("pty-req", ptyRequest(90, 30, 0, 0))
	}
	ch.Exec("stty -echo; echo ready; read line; stty size")
	want(tb, "first", string(ch.Next().Data), "ready\r\n")
	refused("env", ssh.Marshal(struct{ N, V string }{"LANG", "C"}))
	refused("pty-req", ptyRequest(90, 30, 0, 0))
	refused("subsystem", field("sftp"))
	refused("shell", nil)
	refused("exec", field("echo second"))
	ch.Write([]byte("\n"))
	want(tb, "size", sshkit.Text(ch.Record(), "data"), "24 80\r\n")
}

func oddCommands(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	output := func(command string) string {
		tb.Helper()
		ch := c.Open("session", 1<<20, nil)
		defer ch.Close()
		ch.Request("exec", true, field(command))
		return sshkit.Text(ch.Record(), "data")
	}
	want(tb, "not UTF-8", output("printf %s '\xff\xfe\x80'"), "\xff\xfe\x80")
	want(tb, "lines", output("echo a\n\techo b # c\n\necho d\n"), "a\nb\nd\n")
	refused := []string{"echo " + strings.Repeat("x", 200_000)} // longer than Linux takes
	if !s.OpenSSH {                                             // it ends the connection
		refused = append(refused, "echo a\x00b")
	}
	for _, command := range refused {
		ch := c.Open("session", 1<<20, nil)
		ch.Request("exec", true, field(command))
		if ch.Next().Kind == "failure" {
			ch.Close()
			ch.Record()
			continue
		}
		want(tb, "its output", sshkit.Text(ch.Record(), "data"), "") // the shell could not start
		ch.Close()
	}
	want(tb, "after that", output("echo lives"), "lives\n")
}
