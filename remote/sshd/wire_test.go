package sshd

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
)

// TestPiecesOfAPacketAreJoined shows that what the SSH library writes in pieces
// arrives whole and in order, and is counted whole.
func TestPiecesOfAPacketAreJoined(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := newWire(conn, newLoad())
	var sent []byte
	write := func(n int) {
		p := make([]byte, n)
		_, _ = rand.Read(p)
		sent = append(sent, p...)
		if m, err := w.Write(p); m != n || err != nil {
			t.Errorf("Write of %d bytes: %d, %v", n, m, err)
		}
		clear(p) // the library uses its buffer again
	}
	write(libraryBuffer) // before the keys are agreed on nothing is held back
	if len(w.held) != 0 {
		t.Error("a piece is held back before its time")
	}
	w.joins.Store(true)
	for range 20 {
		write(36)
		write(libraryBuffer)
		write(28696)
		write(libraryBuffer)
		write(20)
		write(libraryBuffer)
		write(libraryBuffer) // the rest, as long by chance
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("other bytes arrived: %v", err)
	}
	if n := w.out.Load(); n != int64(len(sent)) {
		t.Errorf("%d bytes are counted of %d", n, len(sent))
	}
	_ = conn.Close()
	_, _ = w.Write(make([]byte, libraryBuffer))
	if n, err := w.Write([]byte("rest")); n != 0 || err == nil {
		t.Errorf("after the close: %d, %v", n, err)
	}
}
