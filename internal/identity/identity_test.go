package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/internal/contract"
	"okteto/internal/identity"
)

func TestEnvironmentsShareNothing(t *testing.T) {
	a, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	b, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{contract.OriginalLocalDeviceID: true, contract.OriginalRemoteDeviceID: true, contract.OriginalAPIKey: true}
	for _, e := range []identity.Environment{a, b} {
		local, err := e.LocalDeviceID()
		if err != nil {
			t.Fatal(err)
		}
		remote, err := e.RemoteDeviceID()
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{local, remote, e.APIKey, string(e.HostKey)} {
			if value == "" || seen[value] {
				t.Errorf("value %.20q… is empty or used twice", value)
			}
			seen[value] = true
		}
	}
	key, err := a.HostPublicKey()
	if err != nil || key.Type() != ssh.KeyAlgoED25519 {
		t.Errorf("host key: type %v, error %v", key, err)
	}
}

func TestSecretKeepsAnEnvironment(t *testing.T) {
	want, err := identity.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	data := want.SecretData()
	got, err := identity.FromSecret(data)
	if err != nil {
		t.Fatal(err)
	}
	wantID, _ := want.RemoteDeviceID()
	gotID, _ := got.RemoteDeviceID()
	if gotID != wantID || got.APIKey != want.APIKey || string(got.HostKey) != string(want.HostKey) {
		t.Error("what comes out of the Secret is not what went in")
	}
	for key := range data {
		broken := want.SecretData()
		broken[key] = nil
		if _, err := identity.FromSecret(broken); !errors.Is(err, identity.ErrIncomplete) {
			t.Errorf("without %s: error %v, want ErrIncomplete", key, err)
		}
	}
}

func TestUserKeyIsMadeOnceByManyProcesses(t *testing.T) {
	dir := t.TempDir()
	keys := make([]identity.UserKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = identity.LoadOrCreateUserKey(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if string(key.AuthorizedKey) != string(keys[0].AuthorizedKey) {
			t.Error("two callers got different keys")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want the key and its public half: %v", len(entries), entries)
	}
}

func TestUserKeyIsReadableByOpenSSH(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("needs ssh-keygen (Debian: openssh-client)")
	}
	key, err := identity.LoadOrCreateUserKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(keygen, "-y", "-f", key.Path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if fields := strings.Fields(string(out)); fields[1] != strings.Fields(string(key.AuthorizedKey))[1] {
		t.Errorf("ssh-keygen reads %s, we wrote %s", out, key.AuthorizedKey)
	}
}

func TestUserKeyOfTheOriginalIsHonoured(t *testing.T) {
	dir := t.TempDir()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, contract.KeyECDSA)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := identity.LoadOrCreateUserKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if key.Path != path || key.Signer.PublicKey().Type() != ssh.KeyAlgoECDSA256 {
		t.Errorf("got %s of type %s", key.Path, key.Signer.PublicKey().Type())
	}
	if _, err := os.Stat(filepath.Join(dir, contract.KeyEd25519)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a second key was made")
	}
}

func TestBrokenUserKeyIsNamedAndKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, contract.KeyEd25519)
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadOrCreateUserKey(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "garbage" {
		t.Error("the broken key was overwritten")
	}
}
