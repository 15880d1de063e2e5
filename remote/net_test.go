package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"

	"okteto/internal/testkit/sshkit"
)

// resetConn closes conn so that the other end sees a reset.
func resetConn(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// runInLocalTerminal runs cmd in a terminal of this machine, after a command
// that sets it up.
func runInLocalTerminal(tb testing.TB, cmd *exec.Cmd, setup string) {
	tb.Helper()
	script := append([]string{"-c", setup + `; "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	local := exec.Command("sh", script...)
	local.Env = cmd.Env
	f, err := pty.Start(local)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	go func() { _, _ = io.Copy(io.Discard, f) }()
	if err := local.Wait(); err != nil {
		tb.Errorf("client in a terminal: %v", err)
	}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func newKey(tb testing.TB) *ed25519.PrivateKey {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &key
}

func addrPort(s *sshkit.Server) int {
	_, p, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(p)
	return n
}

// metric returns a value as it is exported; "" if there is no such series.
func metric(tb testing.TB, s *sshkit.Server, series string) string {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		Dial:              func(string, string) (net.Conn, error) { return net.Dial("unix", filepath.Join(s.Dir, "m.sock")) },
	}}
	resp, err := client.Get("http://server/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for _, line := range strings.Split(string(body), "\n") {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return v
		}
	}
	return ""
}
