package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
)

// UserKey is the developer's SSH key pair, shared by all environments.
type UserKey struct {
	// Path of the private key, for ssh_config's IdentityFile.
	Path string
	// Signer signs with the private key.
	Signer ssh.Signer
	// AuthorizedKey is the public key as a line of authorized_keys.
	AuthorizedKey []byte
}

// LoadOrCreateUserKey returns the key pair in dir (~/.okteto). Keys made by the
// original CLI are honoured; a new one is ed25519. Two processes that start at
// once get the same key. The folder must exist.
func LoadOrCreateUserKey(dir string) (UserKey, error) {
	for _, name := range []string{contract.KeyEd25519, contract.KeyECDSA, contract.KeyRSA} {
		key, err := loadUserKey(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return key, err
	}
	path := filepath.Join(dir, contract.KeyEd25519)
	if err := createUserKey(path); err != nil {
		return UserKey{}, err
	}
	return loadUserKey(path)
}

func loadUserKey(path string) (UserKey, error) {
	private, err := os.ReadFile(path)
	if err != nil {
		return UserKey{}, fmt.Errorf("read SSH key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return UserKey{}, fmt.Errorf("parse SSH key %s: %w (move it away and a new one is made)", path, err)
	}
	key := UserKey{Path: path, Signer: signer, AuthorizedKey: ssh.MarshalAuthorizedKey(signer.PublicKey())}
	// OpenSSH offers a key by its public half, and reads it beside the private one.
	if _, err := os.Stat(path + ".pub"); errors.Is(err, fs.ErrNotExist) {
		if err := writeExclusive(path+".pub", key.AuthorizedKey); err != nil {
			return UserKey{}, err
		}
	}
	return key, nil
}

func createUserKey(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "okteto")
	if err != nil {
		return fmt.Errorf("encode SSH key: %w", err)
	}
	return writeExclusive(path, pem.EncodeToMemory(block))
}

// writeExclusive makes a 0600 file that appears whole or not at all. A file that
// is there already stays and is no error: somebody else won the race.
func writeExclusive(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write SSH key: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("write SSH key: %w", err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write SSH key: %w", err)
	}
	return nil
}
