package sshd

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publicLine(tb testing.TB) string {
	tb.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestAuthorizedKeysOptions(t *testing.T) {
	for options, usable := range map[string]bool{
		"":                             true,
		"no-X11-forwarding ":           true,
		"no-user-rc,agent-forwarding ": true,
		`command="echo hi" `:           false,
		`from="10.0.0.0/8" `:           false,
		"restrict ":                    false,
		"restrict,pty ":                false,
		"no-pty ":                      false,
		"no-port-forwarding ":          false,
		"cert-authority ":              false,
		`environment="A=b c" `:         false,
		`expiry-time="20200101" `:      false,
		"unknown-option ":              false,
		`COMMAND="x" `:                 false,
	} {
		keys, bad := parseAuthorizedKeys([]byte("# comment\n\n" + options + publicLine(t) + " me@laptop\n"))
		if got := len(keys) == 1; got != usable {
			t.Errorf("%q usable: got %v, problems %v", options, got, bad)
		}
		if !usable && (len(bad) != 1 || bad[0].line != 3) {
			t.Errorf("%q: reported %v", options, bad)
		}
	}
}

func TestBadLinesAreSkippedAndNotQuoted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	text := "garbage SECRET\nssh-ed25519 AAAA\n" + publicLine(t) + "\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a := &authorizedKeys{path: file, log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		keys, err := a.read()
		if err != nil || len(keys) != 1 {
			t.Fatalf("got %d keys, %v", len(keys), err)
		}
	}
	if n := strings.Count(log.String(), "authorized key ignored"); n != 2 {
		t.Errorf("warned %d times", n)
	}
	if strings.Contains(log.String(), "SECRET") || strings.Contains(log.String(), "AAAA") {
		t.Errorf("the log quotes the file: %s", &log)
	}
}

func TestRefusesToStartWithoutKeys(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"missing": "", "empty": "", "garbage": "not a key\n", "restricted": `command="x" ` + publicLine(t)} {
		o := Defaults()
		o.AuthorizedKeys = filepath.Join(dir, name)
		o.HostKey = filepath.Join(dir, "host")
		if name != "missing" {
			if err := os.WriteFile(o.AuthorizedKeys, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "refusing to start") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHostKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "key")
	var wg sync.WaitGroup
	prints := make([]string, 8) // of both keys
	for i := range prints {
		wg.Add(1)
		go func() {
			defer wg.Done()
			key, old, err := loadHostKeys(path)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = ssh.FingerprintSHA256(key.PublicKey()) + ssh.FingerprintSHA256(old.PublicKey())
		}()
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] || p == "" {
			t.Errorf("keys differ: %v", prints)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v %v", st.Mode(), err)
	}
	st, _ = os.Stat(filepath.Dir(path))
	if st.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: %v", st.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

// TestAuthorizedKeysAgainstOpenSSH compares with what ssh-keygen reads in the same
// lines: no line may be a key here that is none there, or another one, and a key
// without options there must be one here.
func TestAuthorizedKeysAgainstOpenSSH(t *testing.T) {
	key, other := publicLine(t), publicLine(t)
	kind, text, _ := strings.Cut(key, " ")
	for _, line := range []string{
		key, key + " comment with words", "  \t" + key + "\t", key + "\r", "#" + key, "", "#", kind, text, kind + " " + text[:20],
		"restrict " + text, "restrict," + key, "ssh-rsa " + text, strings.ToUpper(kind) + " " + text, kind + "  \t " + text,
		`command="a b" ` + key, `command="a \" b" ` + key, `command="a` + key, `command="x \\" ` + key + `"` + other,
		`environment="A=` + other + `" ` + key, "no-pty, " + key, ", " + key, " , " + key, "no-x11-forwarding " + key,
		key + " " + other, key + "," + other, "\ufeff" + key, key + "\x00", "\x00" + key, "cert-authority " + key,
		kind + " " + text + "=", kind + " " + text + "====", kind + " " + strings.ToLower(text), kind + " '" + text + "'",
	} {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command("ssh-keygen", "-l", "-f", file).Output()
		theirs := ""
		if f := strings.Fields(string(out)); len(f) > 1 {
			theirs = f[1]
		}
		keys, bad := parseAuthorizedKeys([]byte(line))
		for wire := range keys {
			ours, err := ssh.ParsePublicKey([]byte(wire))
			if err != nil {
				t.Fatal(err)
			}
			if got := ssh.FingerprintSHA256(ours); got != theirs {
				t.Errorf("%q is %s here, %q for ssh-keygen", line, got, theirs)
			}
		}
		if len(keys)+len(bad) > 1 {
			t.Errorf("%q is read as %d keys and %v", line, len(keys), bad)
		}
		if plain := strings.HasPrefix(strings.TrimSpace(line), kind+" ") && !strings.Contains(line, "\x00"); plain && theirs != "" && len(keys) == 0 {
			t.Errorf("%q is a key for ssh-keygen, here it is %v", line, bad)
		}
	}
}
