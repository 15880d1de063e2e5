package sshd

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// loadHostKeys reads the host key, or makes an ed25519 one with mode 0600 when
// the file does not exist, and returns one for old clients too, see oldHostKey. Two
// servers that start at once end up with the same key: the file appears complete
// or not at all, and only once.
func loadHostKeys(path string) (key, old ssh.Signer, err error) {
	key, old, err = readHostKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, old, err
	}
	if err := makeHostKey(path); err != nil {
		return nil, nil, fmt.Errorf("make host key (--host-key names another place): %w", err)
	}
	return readHostKeys(path)
}

func readHostKeys(path string) (key, old ssh.Signer, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read host key: %w", err)
	}
	raw, err := ssh.ParseRawPrivateKey(data)
	if err == nil {
		key, err = ssh.NewSignerFromKey(raw)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parse host key %s: %w (remove the file to have a new one made)", path, err)
	}
	if own, ok := raw.(*ed25519.PrivateKey); ok {
		if old, err = oldHostKey(*own); err != nil {
			return nil, nil, fmt.Errorf("derive a host key from %s: %w", path, err)
		}
	}
	return key, old, nil
}

// oldHostKey is for clients that know no ed25519, such as JSch up to 0.1.55 and
// libssh2 before 1.9; the original server's key is of this type. It is derived from
// the host's own key: so it is the environment's too, stays the same when that does,
// and needs no file.
func oldHostKey(own ed25519.PrivateKey) (ssh.Signer, error) {
	curve := elliptic.P256()
	// FIPS 186-5 section A.2.1: 64 bits more than the order has, so that the
	// remainder is as good as evenly distributed.
	bits, err := hkdf.Key(sha256.New, own.Seed(), nil, "okteto-remote ecdsa host key", 40)
	if err != nil {
		return nil, err
	}
	below := new(big.Int).Sub(curve.Params().N, big.NewInt(1))
	d := new(big.Int).Mod(new(big.Int).SetBytes(bits), below)
	key, err := ecdsa.ParseRawPrivateKey(curve, d.Add(d, big.NewInt(1)).FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

func makeHostKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, "okteto-remote")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".host-key-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pem.EncodeToMemory(block))
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	// Some volumes know no hard links.
	return os.Rename(tmp.Name(), path)
}
