package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(s.Dir, "m.sock"))
		},
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

// listen serves connections on a network until the test ends.
func listen(tb testing.TB, network, address string, serve func(net.Conn)) net.Listener {
	tb.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l
}

func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

// answerLate reads all, then answers with a mebibyte.
func answerLate(conn net.Conn) {
	got, _ := io.Copy(io.Discard, conn)
	time.Sleep(300 * time.Millisecond) // the case is an answer after a pause
	_, _ = conn.Write(bytes.Repeat([]byte{byte(got)}, 1<<20))
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// background starts a client that stays, and ends it with the test.
func background(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
}

// sharedConnection starts a client that others share, and returns the path of its
// control socket.
func sharedConnection(tb testing.TB, s *sshkit.Server, args ...string) string {
	tb.Helper()
	ctl := filepath.Join(tb.TempDir(), "ctl")
	background(tb, s.SSH(append(args, "-N", "-M", "-S", ctl, "pod")...))
	sshkit.Await(tb, "the connection is shared", func() bool { _, err := os.Stat(ctl); return err == nil })
	return ctl
}

// dialSoon connects to what a client is about to open.
func dialSoon(tb testing.TB, network, address string) net.Conn {
	tb.Helper()
	var conn net.Conn
	sshkit.Await(tb, "connect to "+address, func() (ok bool) {
		var err error
		conn, err = net.Dial(network, address)
		return err == nil
	})
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// localForward starts ssh -N -L and returns the local address.
func localForward(tb testing.TB, s *sshkit.Server, target string) string {
	tb.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", sshkit.FreePort(tb))
	background(tb, s.SSH("-N", "-o", "ExitOnForwardFailure=yes", "-L", addr+":"+target, "pod"))
	return addr
}

func roundTrip(conn net.Conn, data []byte) error {
	go func() {
		_, _ = conn.Write(data)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("%d bytes differ from the %d sent", len(got), len(data))
	}
	return err
}
