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

// signHost signs with SHA-2, which is not what an RSA key does by itself.
func signHost(signer ssh.Signer, conn ssh.Conn, data []byte) (*ssh.Signature, error) {
	several, ok := signer.(ssh.AlgorithmSigner)
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA || !ok {
		return signer.Sign(rand.Reader, data)
	}
	// OpenSSH expects the algorithm of the key exchange.
	algo := ssh.KeyAlgoRSASHA512
	if meta, ok := conn.(ssh.AlgorithmsConnMetadata); ok && meta.Algorithms().HostKey == ssh.KeyAlgoRSASHA256 {
		algo = ssh.KeyAlgoRSASHA256
	}
	return several.SignWithAlgorithm(rand.Reader, data, algo)
}
