package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceWire shows what packets of unusual clients meet.
func TestConformanceWire(t *testing.T) {
	conform(t, []row{
		{id: "N01", what: "answers to global requests come in order", test: globalOrder},
		{id: "N02", what: "answers to channel requests come in order, also while the session starts", test: requestOrder},
		{id: "N03", what: "a client that takes small packets gets small packets", test: smallPackets},
		{id: "N04", what: "a window of a few bytes at a time loses nothing", test: smallWindow},
		{id: "N05", what: "a command that is empty", test: emptyCommand},
		{id: "N06", what: "a break is for terminals", test: breakRequest},
		{id: "N07", what: "an EOF twice and data of no length are no errors", test: oddFrames},
		{id: "N08", what: "pings of the transport are answered", test: transportPing, sshdFails: "older than ping@openssh.com (9.5)"},
		{id: "N09", what: "no more sessions", test: noMoreSessions},
		{id: "N10", what: "a reply is not sent unless asked for", test: noReply},
		{id: "N11", what: "ignored and debug messages are ignored", test: ignored},
		{id: "N12", what: "a close in the middle of the output frees the channel", test: closeEarly},
	})
}

func globalRequest(c *sshkit.Raw, name string, reply bool) {
	c.Send(append([]byte{sshkit.MsgGlobalRequest}, ssh.Marshal(struct {
		Name string
		Want bool
	}{name, reply})...))
}

// inOrder compares frames. The reference sends the status as soon as it learns of
// the program's end, before what output is left.
func inOrder(tb testing.TB, s *sshkit.Server, got []string, expected ...string) {
	tb.Helper()
	if s.OpenSSH {
		slices.Sort(got)
		got = slices.Compact(got)
		slices.Sort(expected)
	}
	want(tb, "frames", fmt.Sprint(got), fmt.Sprint(expected))
}

func globalOrder(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	var expected, got []byte
	for i := range 100 {
		if i%3 == 0 {
			// Fails as there is no such forward; asks for an answer.
			c.Send(append([]byte{sshkit.MsgGlobalRequest}, ssh.Marshal(struct {
				Name string
				Want bool
				Addr string
				Port uint32
			}{"tcpip-forward", true, "127.0.0.1", 0})...))
			expected = append(expected, sshkit.MsgRequestSuccess)
			continue
		}
		globalRequest(c, "nonsense@example.com", true)
		expected = append(expected, sshkit.MsgRequestFailure)
	}
	for len(got) < len(expected) {
		switch p := c.Recv(); p[0] {
		case sshkit.MsgRequestSuccess, sshkit.MsgRequestFailure:
			got = append(got, p[0])
		case sshkit.MsgGlobalRequest:
		default:
			tb.Fatalf("message %d", p[0])
		}
	}
	want(tb, "in order", bytes.Equal(got, expected), true)
}

func requestOrder(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Request("env", true, ssh.Marshal(struct{ N, V string }{"LANG", "C"}))
	ch.Request("env", true, ssh.Marshal(struct{ N, V string }{"LD_PRELOAD", "x"}))
	ch.Request("pty-req", true, ptyRequest(80, 24, 0, 0))
	ch.Request("exec", true, ssh.Marshal(struct{ C string }{"stty -echo; read line; exit 4"}))
	ch.Request("window-change", true, ssh.Marshal(struct{ C, R, W, H uint32 }{90, 30, 0, 0}))
	ch.Request("shell", true, nil)
	ch.Request("nonsense", true, nil)
	ch.Write([]byte("\n"))
	var answers []string
	for _, f := range ch.Record() {
		if f.Kind == "success" || f.Kind == "failure" {
			answers = append(answers, f.Kind)
		}
	}
	want(tb, "answers", fmt.Sprint(answers), "[success failure success success success failure failure]")
}

func smallPackets(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	c.Send(append([]byte{sshkit.MsgChannelOpen}, ssh.Marshal(struct {
		Kind             string
		ID, Window, Size uint32
	}{"session", 0, 1 << 20, 100})...))
	ch := &sshkit.Channel{Raw: c, Remote: binary.BigEndian.Uint32(c.Expect(sshkit.MsgChannelConfirm)[5:]), Window: 1 << 20}
	ch.Exec("head -c 10000 /dev/zero")
	total := 0
	for {
		f := ch.Next()
		if f.Kind == "close" {
			break
		}
		if f.Kind == "data" {
			total += len(f.Data)
			if len(f.Data) > 100 {
				tb.Fatalf("a packet of %d bytes", len(f.Data))
			}
		}
	}
	want(tb, "bytes", total, 10000)
}

func smallWindow(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 3, nil)
	ch.Exec("seq 1 200; echo end >&2; exit 6")
	var out, errOut []byte
	var rest []string
	for {
		f := ch.Next()
		switch f.Kind {
		case "data":
			out = append(out, f.Data...)
			ch.Adjust(uint32(len(f.Data)))
		case "stderr":
			errOut = append(errOut, f.Data...)
			ch.Adjust(uint32(len(f.Data)))
		default:
			rest = append(rest, f.Kind)
		}
		if f.Kind == "close" {
			break
		}
	}
	want(tb, "output", len(out), 9+2*90+3*101+200)
	want(tb, "stderr", string(errOut), "end\n")
	inOrder(tb, s, rest, "eof", "exit-status", "close")
}

func emptyCommand(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec("")
	frames := ch.Record()
	inOrder(tb, s, sshkit.Kinds(frames), "eof", "exit-status", "close")
	i := slices.IndexFunc(frames, func(f sshkit.Frame) bool { return f.Kind == "exit-status" })
	want(tb, "status", i >= 0 && frames[i].Data[len(frames[i].Data)-1] == 0, true)
}

func breakRequest(tb testing.TB, s *sshkit.Server) {
	length := binary.BigEndian.AppendUint32(nil, 500)
	c := s.RawDial(tb)
	ch := c.Open("session", 1<<20, nil)
	ch.Exec("cat")
	ch.Request("break", true, length)
	want(tb, "without a terminal", ch.Next().Kind, "failure")
	ch.EOF()
	ch.Record()
	ch.Close()
	ch = c.Open("session", 1<<20, nil)
	ch.Request("pty-req", true, ptyRequest(80, 24, 0, 0))
	ch.Next()
	ch.Exec("cat >/dev/null")
	ch.Request("break", true, length)
	want(tb, "with a terminal", ch.Next().Kind, "success")
}

func oddFrames(tb testing.TB, s *sshkit.Server) {
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	ch.Exec("cat; echo end")
	ch.Write(nil)
	ch.Write([]byte("x"))
	ch.Write(nil)
	ch.EOF()
	if !s.OpenSSH {
		ch.EOF()
	}
	frames := ch.Record()
	want(tb, "output", sshkit.Text(frames, "data"), "xend\n")
	inOrder(tb, s, sshkit.Kinds(frames), "data", "eof", "exit-status", "close")
}

func transportPing(tb testing.TB, s *sshkit.Server) {
	const ping, pong = 192, 193 // OpenSSH PROTOCOL section 1.9
	c := s.RawDial(tb)
	c.Send(append([]byte{ping}, ssh.Marshal(struct{ D string }{"hello"})...))
	if p := c.Expect(pong); !bytes.HasSuffix(p, []byte("hello")) {
		tb.Errorf("answer: %q", p)
	}
}

func noMoreSessions(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	ch := c.Open("session", 1<<20, nil)
	globalRequest(c, "no-more-sessions@openssh.com", false)
	ch.Exec("echo first")
	want(tb, "the first", string(ch.Record()[0].Data), "first\n")
	c.Send(sshkit.OpenMessage("session", 1<<20, nil))
	for {
		p, err := c.TryRecv()
		if err != nil || p[0] == sshkit.MsgChannelFailure || p[0] == sshkit.MsgDisconnect {
			break // the reference ends the connection
		}
		if p[0] == sshkit.MsgChannelConfirm {
			tb.Fatal("another session is opened")
		}
	}
}

func noReply(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	globalRequest(c, "nonsense@example.com", false)
	globalRequest(c, "keepalive@openssh.com", false)
	ch := c.Open("session", 1<<20, nil)
	ch.Request("env", false, ssh.Marshal(struct{ N, V string }{"LANG", "C"}))
	ch.Request("nonsense", false, nil)
	ch.Request("signal", false, ssh.Marshal(struct{ S string }{"NONSENSE"}))
	ch.Request("exec", false, ssh.Marshal(struct{ C string }{"echo out"}))
	inOrder(tb, s, sshkit.Kinds(ch.Record()), "data", "eof", "exit-status", "close")
}

func ignored(tb testing.TB, s *sshkit.Server) {
	c := s.RawDial(tb)
	ch := c.Open("session", 1<<20, nil)
	ch.Exec("cat")
	for range 50 {
		c.Send(append([]byte{sshkit.MsgIgnore}, ssh.Marshal(struct{ D string }{"padding"})...))
		c.Send(append([]byte{sshkit.MsgDebug}, ssh.Marshal(struct {
			Show bool
			M, L string
		}{true, "message", ""})...))
		ch.Write([]byte("x"))
	}
	ch.EOF()
	want(tb, "output", len(ch.Record()[0].Data), 50)
}

func closeEarly(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	c := s.RawDial(tb)
	for range 3 {
		ch := c.Open("session", 1<<16, nil)
		ch.Exec("sleep " + m + " & yes")
		ch.Close()
		for ch.Next().Kind != "close" {
			continue
		}
	}
	if !s.OpenSSH { // the reference leaves what runs
		sshkit.Await(tb, "what ran has ended", func() bool { return !alive(m) })
	}
	ch := c.Open("session", 1<<20, nil)
	ch.Exec("echo lives")
	want(tb, "the connection", slices.Contains(sshkit.Kinds(ch.Record()), "exit-status"), true)
}
