package sshkit

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Raw is an SSH client that sends and receives single packets: for tests of
// order on the wire, flow control and malformed input. It knows one set of
// algorithms (curve25519-sha256, ssh-ed25519, aes128-gcm) and no rekeying.
type Raw struct {
	tb   testing.TB
	Conn net.Conn
	r    *bufio.Reader

	in, out     cipher.AEAD
	ivIn, ivOut []byte
	session     []byte // identifier
}

// Message numbers of RFC 4250 section 4.1.
const (
	MsgDisconnect       = 1
	MsgIgnore           = 2
	MsgUnimplemented    = 3
	MsgDebug            = 4
	MsgServiceRequest   = 5
	MsgServiceAccept    = 6
	MsgExtInfo          = 7
	MsgKexInit          = 20
	MsgNewKeys          = 21
	MsgUserauthRequest  = 50
	MsgUserauthSuccess  = 52
	MsgGlobalRequest    = 80
	MsgRequestSuccess   = 81
	MsgRequestFailure   = 82
	MsgChannelOpen      = 90
	MsgChannelConfirm   = 91
	MsgChannelFailure   = 92
	MsgWindowAdjust     = 93
	MsgChannelData      = 94
	MsgChannelExtended  = 95
	MsgChannelEOF       = 96
	MsgChannelClose     = 97
	MsgChannelRequest   = 98
	MsgChannelSuccess   = 99
	MsgChannelReqFailed = 100
)

// RawDial connects and logs in.
func (s *Server) RawDial(tb testing.TB) *Raw {
	tb.Helper()
	return s.rawDial(tb, false)
}

// RawDialGuess is RawDial by a client that guesses the key exchange, wrongly, and
// sends its first packet together with the proposal (RFC 4253 section 7.1).
func (s *Server) RawDialGuess(tb testing.TB) *Raw {
	tb.Helper()
	return s.rawDial(tb, true)
}

func (s *Server) rawDial(tb testing.TB, guess bool) *Raw {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, 10*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	c := &Raw{tb: tb, Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c.handshake(guess)
	c.login(s.User(), s.Signer(tb, "id"))
	return c
}

func (c *Raw) check(err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatalf("raw client: %v", err)
	}
}

type kexInit struct {
	Cookie                                         [16]byte `sshtype:"20"`
	Kex, HostKey, Ciphers1, Ciphers2, MACs1, MACs2 []string
	Comp1, Comp2, Lang1, Lang2                     []string
	First                                          bool
	Reserved                                       uint32
}

func (c *Raw) handshake(guess bool) {
	c.tb.Helper()
	const version = "SSH-2.0-raw"
	_, err := io.WriteString(c.Conn, version+"\r\n")
	c.check(err)
	line, err := c.r.ReadString('\n')
	c.check(err)
	gcm := []string{"aes128-gcm@openssh.com"}
	mac := []string{"hmac-sha2-256"}
	ours := ssh.Marshal(kexInit{
		Kex: []string{"curve25519-sha256"}, HostKey: []string{"ssh-ed25519"},
		Ciphers1: gcm, Ciphers2: gcm, MACs1: mac, MACs2: mac,
		Comp1: []string{"none"}, Comp2: []string{"none"}, First: guess,
	})
	c.Send(ours)
	if guess {
		c.Send([]byte{30, 0, 0, 0, 5, 'g', 'u', 'e', 's', 's'})
	}
	theirs := c.Recv()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	c.check(err)
	c.Send(ssh.Marshal(struct {
		Q []byte `sshtype:"30"`
	}{key.PublicKey().Bytes()}))
	var reply struct {
		HostKey, Q, Sig []byte `sshtype:"31"`
	}
	c.check(ssh.Unmarshal(c.Recv(), &reply))
	peer, err := ecdh.X25519().NewPublicKey(reply.Q)
	c.check(err)
	secret, err := key.ECDH(peer)
	c.check(err)
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(secret)})
	sum := sha256.Sum256(append(ssh.Marshal(struct{ VC, VS, IC, IS, KS, QC, QS []byte }{
		[]byte(version), []byte(strings.TrimRight(line, "\r\n")), ours, theirs,
		reply.HostKey, key.PublicKey().Bytes(), reply.Q,
	}), k...))
	c.Send([]byte{MsgNewKeys})
	if p := c.Recv(); p[0] != MsgNewKeys {
		c.tb.Fatalf("raw client: expected new keys, got %d", p[0])
	}
	derive := func(letter byte, n int) []byte {
		d := sha256.Sum256(append(append(append([]byte(nil), k...), sum[:]...), append([]byte{letter}, sum[:]...)...))
		return d[:n]
	}
	c.out, c.ivOut = newGCM(derive('C', 16)), derive('A', 12)
	c.in, c.ivIn = newGCM(derive('D', 16)), derive('B', 12)
	c.session = sum[:]
}

func newGCM(key []byte) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		panic(err)
	}
	return g
}

func (c *Raw) login(user string, signer ssh.Signer) {
	c.tb.Helper()
	c.Send(append([]byte{MsgServiceRequest}, ssh.Marshal(struct{ S string }{"ssh-userauth"})...))
	c.Expect(MsgServiceAccept)
	req := struct {
		User, Service, Method string
		HasSig                bool
		Algo                  string
		Key                   []byte
	}{user, "ssh-connection", "publickey", true, signer.PublicKey().Type(), signer.PublicKey().Marshal()}
	body := append([]byte{MsgUserauthRequest}, ssh.Marshal(req)...)
	signed := append(ssh.Marshal(struct{ S []byte }{c.session}), body...)
	sig, err := signer.Sign(rand.Reader, signed)
	c.check(err)
	c.Send(append(body, ssh.Marshal(struct{ S []byte }{ssh.Marshal(sig)})...))
	c.Expect(MsgUserauthSuccess)
}

// Send sends one packet.
func (c *Raw) Send(payload []byte) {
	c.tb.Helper()
	_, err := c.Conn.Write(c.Seal(payload))
	c.check(err)
}

// Seal frames and encrypts one packet.
func (c *Raw) Seal(payload []byte) []byte {
	block, head := 8, 5
	if c.out != nil {
		block, head = 16, 1
	}
	pad := block - (head+len(payload))%block
	if pad < 4 {
		pad += block
	}
	p := make([]byte, 5, 5+len(payload)+pad+16)
	binary.BigEndian.PutUint32(p, uint32(1+len(payload)+pad))
	p[4] = byte(pad)
	p = append(append(p, payload...), make([]byte, pad)...)
	if c.out == nil {
		return p
	}
	sealed := c.out.Seal(append([]byte(nil), p[:4]...), c.ivOut, p[4:], p[:4])
	increment(c.ivOut)
	return sealed
}

func increment(iv []byte) {
	binary.BigEndian.PutUint64(iv[4:], binary.BigEndian.Uint64(iv[4:])+1)
}

// TryRecv receives one packet.
func (c *Raw) TryRecv() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > 1<<20 {
		return nil, fmt.Errorf("packet of %d bytes", n)
	}
	if c.in != nil {
		n += 16
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(c.r, p); err != nil {
		return nil, err
	}
	if c.in != nil {
		var err error
		if p, err = c.in.Open(p[:0], c.ivIn, p, head[:]); err != nil {
			return nil, err
		}
		increment(c.ivIn)
	}
	return p[1 : len(p)-int(p[0])], nil
}

// Recv receives one packet that is for the connection, not for the transport.
func (c *Raw) Recv() []byte {
	c.tb.Helper()
	for {
		p, err := c.TryRecv()
		c.check(err)
		switch p[0] {
		case MsgIgnore, MsgDebug, MsgExtInfo, 53 /* banner */ :
			continue
		case MsgDisconnect:
			c.tb.Fatalf("raw client: disconnected: %q", p)
		}
		return p
	}
}

// Expect receives packets until one of the type; global requests are skipped.
func (c *Raw) Expect(typ byte) []byte {
	c.tb.Helper()
	for {
		p := c.Recv()
		if p[0] == typ {
			return p
		}
		if p[0] != MsgGlobalRequest && p[0] != MsgWindowAdjust {
			c.tb.Fatalf("raw client: expected message %d, got %d: %q", typ, p[0], p)
		}
	}
}
