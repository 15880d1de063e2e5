package sshd

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

const (
	// maxVersionLine is RFC 4253 section 4.2, maxKexInit its section 6.1.
	maxVersionLine = 255
	maxKexInit     = 35000
	// peekTime is how long a client may take to send its key exchange proposal
	// before the default algorithms are offered.
	peekTime = time.Second
	msgKex   = 20
)

// proposal is what a client says it knows. The zero value is one that has not been
// seen.
type proposal struct {
	seen bool
	// gcm: both ciphers may be AES-GCM.
	gcm      bool
	hostKeys []string
}

// knows reports whether the client takes a host key of this type.
func (p proposal) knows(hostKey string) bool {
	return !p.seen || slices.Contains(p.hostKeys, hostKey)
}

// peek looks at the client's proposal before the server's is sent, which can
// depend on it. Nothing is consumed: the SSH library reads it all again.
func (w *wire) peek(version string) proposal {
	hello := version + "\r\n"
	if _, err := w.Conn.Write([]byte(hello)); err != nil {
		return proposal{}
	}
	w.out.Add(int64(len(hello)))
	w.skip = len(hello)
	_ = w.Conn.SetReadDeadline(time.Now().Add(peekTime))
	defer w.Conn.SetReadDeadline(time.Time{})
	line := w.peekLine()
	if line == 0 {
		return proposal{}
	}
	head, err := w.r.Peek(line + 6)
	if err != nil {
		return proposal{}
	}
	size := int(binary.BigEndian.Uint32(head[line:]))
	if size < 2 || size > maxKexInit || head[line+5] != msgKex {
		return proposal{}
	}
	packet, err := w.r.Peek(line + 4 + size)
	if err != nil {
		return proposal{}
	}
	return parseProposal(packet[line+4:])
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

// parseProposal reads an unencrypted binary packet with SSH_MSG_KEXINIT (RFC 4253
// section 7.1).
func parseProposal(packet []byte) proposal {
	if len(packet) < 2 || int(packet[0]) > len(packet)-2 {
		return proposal{}
	}
	var msg struct {
		Cookie                                   [16]byte `sshtype:"20"`
		Kex, HostKey, CipherC2S, CipherS2C       []string
		MACC2S, MACS2C, CompC2S, CompS2C, L1, L2 []string
		First                                    bool
		Reserved                                 uint32
	}
	if ssh.Unmarshal(packet[1:len(packet)-int(packet[0])], &msg) != nil {
		return proposal{}
	}
	isGCM := func(name string) bool { return strings.HasSuffix(name, "-gcm@openssh.com") }
	return proposal{
		seen:     true,
		gcm:      slices.ContainsFunc(msg.CipherC2S, isGCM) && slices.ContainsFunc(msg.CipherS2C, isGCM),
		hostKeys: msg.HostKey,
	}
}

// preferGCM reports whether only AES-GCM should be offered: the client knows it,
// though it may prefer chacha20-poly1305 as OpenSSH does, for which the Go library
// has no assembly on amd64. A server cannot prefer a cipher by itself, since the
// client's order decides (RFC 4253 section 7.1).
func (p proposal) preferGCM() bool { return p.gcm && hasAES() }

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
