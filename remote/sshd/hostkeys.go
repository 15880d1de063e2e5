package sshd

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/ssh"
)

// Requests of OpenSSH PROTOCOL section 2.5: a client with UpdateHostKeys learns
// all host keys of a server that it trusts already, and asks it to prove that it
// has those that are new to the client.
const (
	announceRequest = "hostkeys-00@openssh.com"
	proveRequest    = "hostkeys-prove-00@openssh.com"
)

// maxProofs bounds the signatures made for one request.
const maxProofs = 8

func (c *connection) announceHostKey() {
	key := c.srv.hostKey.PublicKey().Marshal()
	_, _, _ = c.ssh.SendRequest(announceRequest, false, ssh.Marshal(struct{ Key []byte }{key}))
}

var errForeignKey = errors.New("asked to prove a key that is not the host's")

// proveHostKeys returns a signature for each of the keys in payload.
func proveHostKeys(signer ssh.Signer, conn ssh.Conn, payload []byte) ([]byte, error) {
	var proofs []byte
	for n := 0; len(payload) > 0; n++ {
		var next struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(payload, &next); err != nil {
			return nil, err
		}
		payload = next.Rest
		if n == maxProofs || string(next.Key) != string(signer.PublicKey().Marshal()) {
			return nil, errForeignKey
		}
		sig, err := signHost(signer, conn, ssh.Marshal(struct {
			Request      string
			Session, Key []byte
		}{proveRequest, conn.SessionID(), next.Key}))
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, ssh.Marshal(struct{ Sig []byte }{ssh.Marshal(sig)})...)
	}
	return proofs, nil
}

// signHost signs as in the key exchange: an RSA key has several ways.
func signHost(signer ssh.Signer, conn ssh.Conn, data []byte) (*ssh.Signature, error) {
	meta, known := conn.(ssh.AlgorithmsConnMetadata)
	several, able := signer.(ssh.AlgorithmSigner)
	if known && able {
		return several.SignWithAlgorithm(rand.Reader, data, meta.Algorithms().HostKey)
	}
	return signer.Sign(rand.Reader, data)
}
