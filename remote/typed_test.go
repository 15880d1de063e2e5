package main

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/testkit/sshkit"
)

// typed asks what a client's program has been given, and which program it is.
func typed(t *testing.T, c *ssh.Client, terminal, client string) (n int, program uint64, ok bool) {
	t.Helper()
	ok, reply, err := c.SendRequest(contract.TypedRequest, true, ssh.Marshal(struct{ Terminal, Client string }{terminal, client}))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return 0, 0, false
	}
	want(t, "length of the answer", len(reply), 16)
	return int(binary.BigEndian.Uint64(reply)), binary.BigEndian.Uint64(reply[8:]), true
}

// TestTypedArrivesOnce shows that a client which comes back, while the server does not
// know yet that it was gone and writes what it had sent, knows what to send again.
func TestTypedArrivesOnce(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	dir := t.TempDir()
	var text strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&text, "%06d\n", i)
	}
	all := text.String() // more than a terminal holds
	first := s.Dial(t)
	x := terminalOn(t, first, nil, named("t"), seen("mine", 0))
	x.run(fmt.Sprintf("stty raw -echo; echo ready; cd %s; while [ ! -e go ]; do sleep 0.02; done; head -c %d >got; exit 4", dir, len(all)))
	x.expect("ready")
	none, program, ok := typed(t, first, "t", "mine")
	want(t, "given to a new program", ok && none == 0, true)
	x.send(all[:len(all)/2])
	sshkit.Await(t, "some has arrived", func() bool {
		return metric(t, s, `okteto_remote_session_bytes_total{direction="in",kind="pty-exec"}`) != "0"
	})

	second := s.Dial(t)
	if _, _, ok := typed(t, second, "t", "mine"); ok {
		t.Error("a connection that is not attached has an answer")
	}
	y := terminalOn(t, second, nil, named("t"), seen("mine", 0))
	y.run("")
	if _, _, ok := typed(t, second, "t", "another"); ok {
		t.Error("an unknown client has an answer")
	}
	n, same, ok := typed(t, second, "t", "mine")
	want(t, "program", same, program)
	want(t, fmt.Sprint("taken, in part: ", n), ok && n < len(all)/2, true)
	if _, _, ok := typed(t, first, "t", "mine"); ok {
		t.Error("the connection before has an answer")
	}
	y.send(all[n:])
	write(t, filepath.Join(dir, "go"), nil)
	want(t, "end", fmt.Sprint(y.wait()), "Process exited with status 4")
	want(t, "arrived", read(t, filepath.Join(dir, "got")) == all, true)
	for _, malformed := range [][]byte{nil, {0}, ssh.Marshal(struct{ A, B string }{"", ""})} {
		if ok, _, err := second.SendRequest(contract.TypedRequest, true, malformed); ok || err != nil {
			t.Errorf("%q is answered with %v, %v", malformed, ok, err)
		}
	}
}

// TestTypedOfAnotherProgram shows that a client knows a program which has taken the
// place of its own, also when it has lost a connection in between, and that one which
// another client had tells it nothing.
func TestTypedOfAnotherProgram(t *testing.T) {
	oursOnly(t)
	s := startOurs(t)
	start := func(client string) (*ssh.Client, *term) {
		c := s.Dial(t)
		x := terminalOn(t, c, nil, named("t"), seen(client, 0))
		x.run("stty raw -echo; echo ready; read line; exit 3")
		x.expect("ready")
		return c, x
	}
	first, x := start("mine")
	_, program, _ := typed(t, first, "t", "mine")
	x.send("\r\n")
	want(t, "end", fmt.Sprint(x.wait()), "Process exited with status 3")
	_ = first.Conn.Close()

	lost, _ := start("mine")
	_ = lost.Conn.Close() // before it could ask
	detached(t, s)
	again, _ := start("mine")
	n, other, ok := typed(t, again, "t", "mine")
	want(t, "another program, which has been given nothing", ok && n == 0 && other != program, true)

	taker, _ := start("yours")
	if _, _, ok := typed(t, taker, "t", "yours"); ok {
		t.Error("a client has an answer about what another one has begun")
	}
}
