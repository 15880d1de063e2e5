package sshd

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func FuzzAuthorizedKeys(f *testing.F) {
	f.Add([]byte(publicLine(f) + "\n"))
	f.Add([]byte(`command="a\"b",no-pty ssh-ed25519 AAAA c`))
	f.Add([]byte("\x00\n\n#\n  x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _ := parseAuthorizedKeys(data)
		alone := 0
		for _, line := range bytes.Split(data, []byte("\n")) {
			one, _ := parseAuthorizedKeys(line)
			for wire := range one {
				if _, ok := keys[wire]; !ok {
					t.Fatalf("%q is a key only by itself", line)
				}
				alone++
			}
		}
		if alone < len(keys) {
			t.Fatalf("%d keys of %d in their lines", len(keys), alone)
		}
		for wire, perms := range keys {
			key, err := ssh.ParsePublicKey([]byte(wire))
			if err != nil {
				t.Fatal(err)
			}
			// As OpenSSH wants it: the type, space, and the key.
			i := bytes.Index(data, []byte(base64.StdEncoding.EncodeToString([]byte(wire))))
			if i >= 0 && !bytes.HasSuffix(bytes.TrimRight(data[:i], " \t"), []byte(key.Type())) {
				t.Fatalf("%q is taken for a key", data)
			}
			if perms == nil || len(perms.CriticalOptions) > 0 {
				t.Fatalf("permissions %v", perms)
			}
		}
	})
}

func FuzzProposal(f *testing.F) {
	f.Add([]byte{4, 20, 0, 0, 0, 0})
	f.Add(append([]byte{0, 20}, make([]byte, 62)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p := parseProposal(data); !p.seen && (p.gcm || len(p.hostKeys) > 0) {
			t.Fatalf("%q gives %+v", data, p)
		}
	})
}

// script is a connection to a client that says one thing and then nothing.
type script struct {
	net.Conn
	in io.Reader
}

func (s script) Read(p []byte) (int, error)    { return s.in.Read(p) }
func (script) Write(p []byte) (int, error)     { return len(p), nil }
func (script) SetReadDeadline(time.Time) error { return nil }

// FuzzPeek shows that to look at a client's first bytes takes none of them away.
func FuzzPeek(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x14"))
	f.Add([]byte("SSH-2.0-x\n\xff\xff\xff\xff\x04\x14"))
	f.Add([]byte("no line"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		w := newWire(script{in: bytes.NewReader(said)}, newLoad())
		_ = w.peek("SSH-2.0-server")
		got, err := io.ReadAll(w)
		if err != nil || !bytes.Equal(got, said) {
			t.Fatalf("%q became %q: %v", said, got, err)
		}
	})
}

// peer is a connection as far as proofs want it.
type peer struct{ ssh.Conn }

func (peer) SessionID() []byte { return []byte("session") }

func FuzzHostKeyProof(f *testing.F) {
	signer, err := ssh.ParsePrivateKey(privateKey(f))
	if err != nil {
		f.Fatal(err)
	}
	own := ssh.Marshal(struct{ K []byte }{signer.PublicKey().Marshal()})
	f.Add([]byte{})
	f.Add(own)
	f.Add(bytes.Repeat(own, maxProofs+1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		proofs, err := proveHostKeys(signer, peer{}, payload)
		asked := len(payload) / len(own)
		if only := bytes.Equal(payload, bytes.Repeat(own, asked)) && asked <= maxProofs; only != (err == nil) {
			t.Fatalf("%q: %v", payload, err)
		}
		if err == nil && (len(proofs) > 0) != (asked > 0) {
			t.Fatalf("%d keys asked for, proofs %q", asked, proofs)
		}
	})
}

func privateKey(tb testing.TB) []byte {
	tb.Helper()
	path := tb.TempDir() + "/key"
	if err := makeHostKey(path); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
