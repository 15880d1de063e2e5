// Package identity makes and keeps the keys that the parts of an environment
// know each other by: the SSH host key, the two Syncthing certificates, the
// key of the REST interface, and the developer's own SSH key pair.
//
// Nothing here is constant or shared between environments. An environment's
// keys are made once, at its first `up`, and live in the environment's Secret
// in the cluster and, for the laptop's end, in its state folder.
package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/tlsutil"
	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
)

// ErrIncomplete is returned when a key of an environment is missing or cannot
// be parsed.
var ErrIncomplete = errors.New("environment identity is incomplete")

// certificateLifetimeDays of a Syncthing certificate. Peers know each other by
// the certificate's digest and never look at its dates; Syncthing's own value.
const certificateLifetimeDays = 20 * 365

// Environment is what one environment's parts authenticate with. All values but
// APIKey are PEM.
type Environment struct {
	// HostKey is the SSH server's private key, ed25519, in OpenSSH's format.
	HostKey []byte
	// LocalCert and LocalKey are the laptop's end of the synchronization,
	// RemoteCert and RemoteKey the pod's.
	LocalCert, LocalKey   []byte
	RemoteCert, RemoteKey []byte
	// APIKey opens Syncthing's REST interface at both ends.
	APIKey string
}

// NewEnvironment makes fresh keys.
func NewEnvironment() (Environment, error) {
	var e Environment
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return e, fmt.Errorf("generate host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return e, fmt.Errorf("encode host key: %w", err)
	}
	e.HostKey = pem.EncodeToMemory(block)
	if e.LocalCert, e.LocalKey, err = newCertificate(); err != nil {
		return e, err
	}
	if e.RemoteCert, e.RemoteKey, err = newCertificate(); err != nil {
		return e, err
	}
	secret := make([]byte, 20)
	if _, err := rand.Read(secret); err != nil {
		return e, fmt.Errorf("generate API key: %w", err)
	}
	e.APIKey = hex.EncodeToString(secret)
	return e, nil
}

// FromSecret takes an environment's keys out of its Secret. It reports
// ErrIncomplete when one is missing or broken, as in a Secret written by the
// original CLI.
func FromSecret(data map[string][]byte) (Environment, error) {
	e := Environment{
		HostKey:    data[contract.SecretItemPrefix+contract.HostKeyName],
		LocalCert:  data[contract.LocalCertKey],
		LocalKey:   data[contract.LocalKeyKey],
		RemoteCert: data[contract.SyncthingCertFile],
		RemoteKey:  data[contract.SyncthingKeyFile],
		APIKey:     string(data[contract.APIKeyKey]),
	}
	return e, e.Validate()
}

// SecretData is the inverse of FromSecret.
func (e Environment) SecretData() map[string][]byte {
	return map[string][]byte{
		contract.SecretItemPrefix + contract.HostKeyName: e.HostKey,
		contract.LocalCertKey:                            e.LocalCert,
		contract.LocalKeyKey:                             e.LocalKey,
		contract.SyncthingCertFile:                       e.RemoteCert,
		contract.SyncthingKeyFile:                        e.RemoteKey,
		contract.APIKeyKey:                               []byte(e.APIKey),
	}
}

// Validate reports ErrIncomplete unless every key is there and can be used.
func (e Environment) Validate() error {
	if e.APIKey == "" {
		return fmt.Errorf("%w: no API key", ErrIncomplete)
	}
	if _, err := e.HostPublicKey(); err != nil {
		return err
	}
	if _, err := e.LocalDeviceID(); err != nil {
		return err
	}
	_, err := e.RemoteDeviceID()
	return err
}

// HostPublicKey is what the laptop pins.
func (e Environment) HostPublicKey() (ssh.PublicKey, error) {
	signer, err := ssh.ParsePrivateKey(e.HostKey)
	if err != nil {
		return nil, fmt.Errorf("%w: host key: %w", ErrIncomplete, err)
	}
	return signer.PublicKey(), nil
}

// LocalDeviceID is the Syncthing device ID of the laptop's certificate.
func (e Environment) LocalDeviceID() (string, error) {
	return deviceID(e.LocalCert, e.LocalKey, "local")
}

// RemoteDeviceID is the Syncthing device ID of the pod's certificate.
func (e Environment) RemoteDeviceID() (string, error) {
	return deviceID(e.RemoteCert, e.RemoteKey, "remote")
}

// deviceID is the SHA-256 of a certificate, as Syncthing writes it
// (https://docs.syncthing.net/dev/device-ids.html).
func deviceID(cert, key []byte, side string) (string, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return "", fmt.Errorf("%w: %s certificate: %w", ErrIncomplete, side, err)
	}
	return protocol.NewDeviceID(pair.Certificate[0]).String(), nil
}

func newCertificate() (cert, key []byte, err error) {
	pair, err := tlsutil.NewCertificateInMemory("syncthing", certificateLifetimeDays)
	if err != nil {
		return nil, nil, fmt.Errorf("generate Syncthing certificate: %w", err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("encode Syncthing key: unexpected type %T", pair.PrivateKey)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encode Syncthing key: %w", err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	key = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return cert, key, nil
}
