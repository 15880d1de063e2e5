package main

import (
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"okteto/internal/testkit/sshkit"
)

// TestConformanceWindow shows that the windows of channels (RFC 4254 section 5.2)
// are given back.
func TestConformanceWindow(t *testing.T) {
	const dropped = "it drops such data and does not give the window back"
	conform(t, []row{
		{id: "N18", what: "extended data to a command does not use up the window", test: extendedDataToCommand, sshdFails: dropped},
		{id: "N19", what: "extended data to a forward does not use up the window", test: extendedDataToForward, sshdFails: dropped},
		{id: "N20", what: "extended data to SFTP does not use up the window", test: extendedDataToSFTP, sshdFails: dropped},
	})
}

// afterExtendedData sends more extended data than the window holds, and then
// data, which must arrive.
func afterExtendedData(tb testing.TB, ch ssh.Channel, data, answer string) {
	tb.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := ch.Stderr().Write(make([]byte, 5<<20))
		if err == nil {
			_, err = io.WriteString(ch, data)
		}
		done <- err
	}()
	select {
	case err := <-done:
		want(tb, "data sent", err, error(nil))
	case <-time.After(10 * time.Second):
		tb.Fatal("the window is used up")
	}
	got := make([]byte, len(answer))
	_, err := io.ReadFull(ch, got)
	want(tb, "answer", err, error(nil))
	want(tb, "answer", string(got), answer)
}

func openSession(tb testing.TB, s *sshkit.Server, request, name string) ssh.Channel {
	tb.Helper()
	ch, reqs, err := s.Dial(tb).OpenChannel("session", nil)
	if err != nil {
		tb.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest(request, true, ssh.Marshal(struct{ Name string }{name})); !ok || err != nil {
		tb.Fatalf("%s %s: %v %v", request, name, ok, err)
	}
	return ch
}

func extendedDataToCommand(tb testing.TB, s *sshkit.Server) {
	afterExtendedData(tb, openSession(tb, s, "exec", "cat"), "through", "through")
}

func extendedDataToSFTP(tb testing.TB, s *sshkit.Server) {
	afterExtendedData(tb, openSession(tb, s, "subsystem", "sftp"), "\x00\x00\x00\x05\x01\x00\x00\x00\x03", "\x00\x00")
}

func extendedDataToForward(tb testing.TB, s *sshkit.Server) {
	l := listen(tb, "tcp", "127.0.0.1:0", echo)
	ch, reqs, err := s.Dial(tb).OpenChannel("direct-tcpip", ssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{"127.0.0.1", uint32(portOf(l)), "127.0.0.1", 1}))
	if err != nil {
		tb.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	afterExtendedData(tb, ch, "through", "through")
}
