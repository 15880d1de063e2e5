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
	"testing"
	"time"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceStreams shows that what goes through a command arrives whole.
func TestConformanceStreams(t *testing.T) {
	conform(t, []row{
		{id: "A04", what: "stdin half close", test: halfClose},
		{id: "A05", what: "big stdin arrives whole", test: bigStdin},
		{id: "A06", what: "big stdout arrives whole", test: bigStdout},
		{id: "A07", what: "both ways at once", test: bothWays},
		{id: "A18", what: "unread stdin does not hang", test: unreadStdin},
		{id: "A19", what: "streams closed early, status later", test: closedEarly},
		{id: "A22", what: "all bytes pass unchanged", test: allBytes},
		{id: "A25", what: "data, eof, exit-status, close, in this order", test: orderOnChannel},
		{id: "A26", what: "a slow reader loses nothing", test: slowReader},
		{id: "A27", what: "big output and exit at once", test: bigOutputThenExit},
		{id: "A29", what: "a client that reads no more ends the writer", test: brokenPipe},
		{id: "A30", what: "a tree through tar both ways", test: tarTree},
		{id: "A32", what: "input that a daemon holds and does not read holds nothing up", test: heldStdin},
	})
}

// noise is reproducible random data.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewSource(int64(n)))
	_, _ = r.Read(b)
	return b
}

func heldStdin(tb testing.TB, s *sshkit.Server) {
	m := mark()
	killMarked(tb, m)
	cmd := s.SSH("pod", "setsid sleep "+m+" <&0 >/dev/null 2>&1 & exit 3")
	cmd.Stdin = io.LimitReader(zeros{}, 1<<20)
	want(tb, "status", sshkit.Run(tb, cmd).Code, 3)
	sshkit.Await(tb, "the daemon runs", func() bool { return alive(m) })
	if !s.OpenSSH {
		sshkit.Await(tb, "the connection has ended", func() bool { return metric(tb, s, "okteto_remote_connections_active") == "0" })
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func halfClose(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "x\n", "cat; echo after")
	want(tb, "output", r.Stdout, "x\nafter\n")
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

func closedEarly(tb testing.TB, s *sshkit.Server) {
	r := s.Exec(tb, "", "echo x; exec >&- 2>&-; sleep 0.5; exit 7")
	want(tb, "output", r.Stdout, "x\n")
	want(tb, "status", r.Code, 7)
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
