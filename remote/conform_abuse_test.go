package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceAbuse(t *testing.T) {
	conform(t, []row{
		{id: "L01", what: "garbage is closed, the server lives", test: garbage},
		{id: "L02", what: "an endless version line is cut", test: endlessVersion},
		{id: "L03", what: "an oversized packet is closed without a big allocation", test: oversized},
		{id: "L06", what: "500 silent connections do not lock out a client", test: silentCrowd, own: true, sshdFails: "it keeps them all for LoginGraceTime, with room for them (MaxStartups)"},
		{id: "L07", what: "malformed requests after login are refused, the connection lives", test: malformedRequests},
	})
}

// says connects, sends, and reads until the server closes.
func says(tb testing.TB, s *sshkit.Server, data []byte) (closed bool) {
	tb.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = conn.Write(data) }()
	_, err = io.Copy(io.Discard, conn)
	return !os.IsTimeout(err)
}

func garbage(tb testing.TB, s *sshkit.Server) {
	for name, data := range map[string][]byte{
		"random":   append(noise(100000), '\n'),
		"http":     []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x\n", 2000)),
		"ssh1":     []byte("SSH-1.5-old\r\n" + strings.Repeat("x\n", 2000)),
		"zeros":    append([]byte("SSH-2.0-x\r\n"), make([]byte, 100000)...),
		"bad kex":  append([]byte("SSH-2.0-x\r\n\x00\x00\x01\x00\x04\x14"), noise(100000)...),
		"only kex": append([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x14"), make([]byte, 4000)...),
	} {
		want(tb, name+" closed", says(tb, s, data), true)
	}
	want(tb, "server lives", s.Exec(tb, "", "echo in").Stdout, "in\n")
}

func endlessVersion(tb testing.TB, s *sshkit.Server) {
	want(tb, "closed", says(tb, s, bytes.Repeat([]byte("A"), 1<<20)), true)
}

func oversized(tb testing.TB, s *sshkit.Server) {
	before, n := rss(s), 20
	if s.OpenSSH { // it waits for the end of LoginGraceTime each time
		n = 1
	}
	for range n {
		want(tb, "closed", says(tb, s, []byte("SSH-2.0-x\r\n\xff\xff\xff\xff\x04\x14")), true)
	}
	if grown := rss(s) - before; !s.OpenSSH && grown > 64<<10 {
		tb.Errorf("memory grew by %d KiB", grown)
	}
	want(tb, "server lives", s.Exec(tb, "", "echo in").Stdout, "in\n")
}

// rss of the server in KiB.
func rss(s *sshkit.Server) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
	_, after, _ := strings.Cut(string(data), "VmRSS:")
	var n int
	_, _ = fmt.Sscan(after, &n)
	return n
}

func silentCrowd(tb testing.TB, s *sshkit.Server) {
	var dropped atomic.Int64
	for range 500 {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			tb.Fatal(err)
		}
		defer conn.Close()
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			dropped.Add(1)
		}()
	}
	want(tb, "a client in good faith", s.Exec(tb, "", "echo in").Stdout, "in\n")
	patience := 10 * time.Second // less than they may take to log in
	if s.OpenSSH {
		patience = time.Second
	}
	if !sshkit.AwaitFor(patience, func() bool { return dropped.Load() >= 300 }) {
		tb.Error("silent connections are kept without a bound")
	}
}

func malformedRequests(tb testing.TB, s *sshkit.Server) {
	if s.OpenSSH {
		tb.Skip("OpenSSH ends the connection on malformed requests")
	}
	ch := s.RawDial(tb).Open("session", 1<<20, nil)
	junk := [][]byte{nil, {0}, {0xff, 0xff, 0xff, 0xff}, noise(1000)}
	for _, name := range []string{"pty-req", "env", "window-change", "exec", "subsystem", "signal", "x11-req", "break", "auth-agent", "nonsense"} {
		for _, data := range junk {
			ch.Request(name, true, data)
			if f := ch.Next(); f.Kind != "failure" {
				tb.Errorf("%s with %d bytes: %s", name, len(data), f.Kind)
			}
		}
	}
	ch.Exec("echo fine")
	want(tb, "session", string(ch.Record()[0].Data), "fine\n")
	c := s.Dial(tb)
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "session"} {
		for _, data := range junk {
			if ch, reqs, err := c.OpenChannel(kind, data); err == nil {
				go ssh.DiscardRequests(reqs)
				_ = ch.Close()
			}
		}
	}
	for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com"} {
		for _, data := range junk {
			ok, _, err := c.SendRequest(name, true, data)
			want(tb, name, fmt.Sprint(ok, err), "false <nil>")
		}
	}
}
