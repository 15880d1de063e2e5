package sshd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"

	"okteto/remote/quickio"
)

const (
	// readBuffer below the SSH transport, whose own holds 4 KiB: fewer system
	// calls for bulk transfers.
	readBuffer = 64 << 10
	// maxVersionLine is RFC 4253 section 4.2, maxKexInit its section 6.1.
	maxVersionLine = 255
	maxKexInit     = 35000
	// peekTime is how long a client may take to send its key exchange proposal
	// before the default algorithms are offered.
	peekTime = time.Second
	msgKex   = 20
)

// wire is the transport of one SSH connection.
type wire struct {
	net.Conn
	quick io.ReadWriter // of Conn
	load  *load
	r     *bufio.Reader
	// joins is set once all packets are encrypted with AES-GCM.
	joins atomic.Bool
	held  []byte // of the current packet, see send
	skip  int    // bytes of the next writes that have been sent already
	in    atomic.Int64
	out   atomic.Int64
	// broken is set when reading fails otherwise than by the client's close.
	broken atomic.Bool
}

func newWire(conn net.Conn, load *load) *wire {
	quick := quickio.New(conn)
	return &wire{Conn: conn, quick: quick, load: load, r: bufio.NewReaderSize(quick, readBuffer)}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.in.Add(int64(n))
	w.load.add(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.broken.Store(true)
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	skipped := min(w.skip, len(p))
	w.skip -= skipped
	if skipped == len(p) {
		return len(p), nil
	}
	n, err := w.send(p[skipped:])
	w.out.Add(int64(n))
	w.load.add(n)
	return skipped + n, err
}

// libraryBuffer is the size of the SSH library's own buffer below the packets.
const libraryBuffer = 4096

// send writes p, joined with the piece before it when that was held back: the
// library fills its buffer with the beginning of a packet, writes that, and then
// the rest. Half of the system calls, and of the receiver's wake-ups, are gone.
//
// A full buffer is never the end of a packet with AES-GCM: four bytes of length,
// then blocks of 16 (RFC 5647 section 7.2), are never 4096.
func (w *wire) send(p []byte) (int, error) {
	if w.joins.Load() && len(w.held) == 0 && len(p) == libraryBuffer {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if len(w.held) == 0 {
		return w.quick.Write(p)
	}
	held := len(w.held)
	buffers := net.Buffers{w.held, p}
	n, err := buffers.WriteTo(w.Conn)
	w.held = w.held[:0]
	return max(0, int(n)-held), err
}

// preferGCM reports whether only AES-GCM should be offered to this client: it
// knows it, though it may prefer chacha20-poly1305 as OpenSSH does, for which
// the Go library has no assembly on amd64. A server cannot prefer a cipher by
// itself, since the client's order decides (RFC 4253 section 7.1); so this
// looks at the client's proposal before the server's is sent. Nothing is
// consumed: the SSH library reads it all again.
func (w *wire) preferGCM(version string) bool {
	if !hasAES() {
		return false
	}
	hello := version + "\r\n"
	if _, err := w.Conn.Write([]byte(hello)); err != nil {
		return false
	}
	w.out.Add(int64(len(hello)))
	w.skip = len(hello)
	_ = w.Conn.SetReadDeadline(time.Now().Add(peekTime))
	defer w.Conn.SetReadDeadline(time.Time{})
	line := w.peekLine()
	if line == 0 {
		return false
	}
	head, err := w.r.Peek(line + 6)
	if err != nil {
		return false
	}
	size := int(binary.BigEndian.Uint32(head[line:]))
	if size < 2 || size > maxKexInit || head[line+5] != msgKex {
		return false
	}
	packet, err := w.r.Peek(line + 4 + size)
	if err != nil {
		return false
	}
	return knowsGCM(packet[line+4:])
}

// peekLine returns the length of the client's version line, 0 if it has none.
func (w *wire) peekLine() int {
	for {
		_, err := w.r.Peek(w.r.Buffered() + 1)
		have, _ := w.r.Peek(w.r.Buffered())
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			return i + 1
		}
		if err != nil || len(have) > maxVersionLine {
			return 0
		}
	}
}

// knowsGCM parses an unencrypted binary packet with SSH_MSG_KEXINIT (RFC 4253
// section 7.1).
func knowsGCM(packet []byte) bool {
	if len(packet) < 2 || int(packet[0]) > len(packet)-2 {
		return false
	}
	var msg struct {
		Cookie                                   [16]byte `sshtype:"20"`
		Kex, HostKey, CipherC2S, CipherS2C       []string
		MACC2S, MACS2C, CompC2S, CompS2C, L1, L2 []string
		First                                    bool
		Reserved                                 uint32
	}
	if ssh.Unmarshal(packet[1:len(packet)-int(packet[0])], &msg) != nil {
		return false
	}
	isGCM := func(name string) bool { return strings.HasSuffix(name, "-gcm@openssh.com") }
	return slices.ContainsFunc(msg.CipherC2S, isGCM) && slices.ContainsFunc(msg.CipherS2C, isGCM)
}

func hasAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasAESGCM
}

// algorithms are what is offered: no SHA-1, no CBC, no group 14.
func algorithms(onlyGCM bool) ssh.Config {
	c := ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
		},
		Ciphers: []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM},
		MACs: []string{
			ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512,
		},
	}
	if !onlyGCM {
		c.Ciphers = append(c.Ciphers, ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR)
	}
	return c
}

// userKeyAlgorithms are the signatures accepted from clients.
func userKeyAlgorithms(rsaSHA1 bool) []string {
	algos := ssh.SupportedAlgorithms().PublicKeyAuths
	if rsaSHA1 {
		algos = append(algos, ssh.KeyAlgoRSA)
	}
	return algos
}
