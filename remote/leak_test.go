package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// holding is what a server holds: each must come back to its baseline.
type holding struct{ fds, goroutines, children, zombies, ptys, rss int }

func measure(t testing.TB, s *sshkit.Server) holding {
	t.Helper()
	u := holding{fds: countFDs(s), rss: rss(s)}
	u.goroutines, _ = strconv.Atoi(metric(t, s, "go_goroutines"))
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, d := range dirs {
		data, _ := os.ReadFile(d)
		_, after, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(s.Process.Pid) {
			u.children++
			if f[0] == "Z" {
				u.zombies++
			}
		}
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.Process.Pid))
	for _, l := range links {
		if target, _ := os.Readlink(l); strings.Contains(target, "ptmx") {
			u.ptys++
		}
	}
	return u
}

// noLeak runs f and waits for the server to come back to where it was.
func noLeak(t testing.TB, s *sshkit.Server, f func()) {
	t.Helper()
	if s.OpenSSH {
		t.Skip("it is a process for each connection")
	}
	f() // warm up: pools and the heap grow once
	var before holding
	sshkit.AwaitFor(3*time.Second, func() bool {
		last := before
		before = measure(t, s)
		return last.goroutines == before.goroutines && last.fds == before.fds && before.children == 0
	})
	f()
	var after holding
	if !sshkit.AwaitFor(20*time.Second, func() bool {
		after = measure(t, s)
		return after.fds <= before.fds && after.goroutines <= before.goroutines &&
			after.children <= before.children && after.zombies == 0 && after.ptys <= before.ptys
	}) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	t.Logf("before %+v, after %+v", before, after)
	if grown := after.rss - before.rss; grown > 32<<10 {
		t.Errorf("memory grew by %d KiB", grown)
	}
}

func TestConformanceLeaks(t *testing.T) {
	conform(t, []row{
		{id: "L04", what: "1000 connections leak nothing", test: connectionsLeakNothing, own: true},
		{id: "L05", what: "500 commands leak nothing", test: execsLeakNothing, own: true},
		{id: "L08", what: "100 dropped terminals leak nothing", test: droppedTerminalsLeakNothing, own: true},
		{id: "L09", what: "100 remote forwards leak nothing", test: reverseForwardsLeakNothing, own: true},
		{id: "L10", what: "local forwards and SFTP sessions leak nothing", test: localForwardsAndSFTPLeakNothing, own: true},
	})
}

func connectionsLeakNothing(t testing.TB, s *sshkit.Server) {
	n := scale(1000, 200)
	noLeak(t, s, func() {
		for i := range n {
			switch i % 4 {
			case 0: // nothing said
				conn, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.Close()
			case 1: // reset in the handshake
				conn, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(conn, "SSH-2.0-x\r\n")
				resetConn(conn)
			case 2: // reset after login
				resetConn(s.RawDial(t).Conn)
			case 3:
				_ = s.Dial(t).Close()
			}
		}
	})
}

func execsLeakNothing(t testing.TB, s *sshkit.Server) {
	n := scale(500, 100)
	noLeak(t, s, func() {
		c := s.Dial(t)
		for range n {
			sess, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := sess.Output("echo x"); err != nil || string(out) != "x\n" {
				t.Fatalf("%q %v", out, err)
			}
		}
		_ = c.Close()
	})
}

func droppedTerminalsLeakNothing(t testing.TB, s *sshkit.Server) {
	n := scale(100, 30)
	noLeak(t, s, func() {
		for range n {
			c := s.Dial(t)
			x := terminalOn(t, c, nil)
			x.run("")
			_ = c.Conn.Close()
		}
	})
}

func reverseForwardsLeakNothing(t testing.TB, s *sshkit.Server) {
	n := scale(100, 40)
	noLeak(t, s, func() {
		c := s.Dial(t)
		var wg sync.WaitGroup
		for range n {
			l, err := c.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				if conn, err := l.Accept(); err == nil {
					echo(conn)
					_ = conn.Close()
				}
			}()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if err := roundTrip(conn, []byte("through")); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}
		wg.Wait()
		_ = c.Close()
	})
}

func localForwardsAndSFTPLeakNothing(t testing.TB, s *sshkit.Server) {
	l := listen(t, "tcp", "127.0.0.1:0", echo)
	noLeak(t, s, func() {
		c := s.Dial(t)
		for i := range 50 {
			conn, err := c.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte("x"))
			if i%2 == 0 {
				_ = conn.Close()
			}
			ch, reqs, err := c.OpenChannel("session", nil)
			if err != nil {
				t.Fatal(err)
			}
			go ssh.DiscardRequests(reqs)
			_, _ = ch.SendRequest("subsystem", true, ssh.Marshal(struct{ N string }{"sftp"}))
			_, _ = ch.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
		}
		_ = c.Close()
	})
}
