package sshd

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxKeysFile bounds what is read of the file of authorized keys.
const maxKeysFile = 1 << 20

// errNoKeys is a file without a single usable key.
var errNoKeys = errors.New("no usable key")

// authorizedKeys is the file of keys that may log in. It is read anew for each
// login, so that a change counts at once.
type authorizedKeys struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex // protects the following
	warned [sha256.Size]byte
}

// read returns the usable keys by their wire format.
func (a *authorizedKeys) read() (map[string]*ssh.Permissions, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("open authorized keys: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return nil, fmt.Errorf("read authorized keys: %w", err)
	}
	if len(data) > maxKeysFile {
		return nil, fmt.Errorf("authorized keys %s: larger than %d bytes", a.path, maxKeysFile)
	}
	keys, bad := parseAuthorizedKeys(data)
	a.warn(data, bad)
	if len(keys) == 0 {
		return nil, fmt.Errorf("authorized keys %s: %w", a.path, errNoKeys)
	}
	return keys, nil
}

// warn logs the unusable lines, once per content of the file.
func (a *authorizedKeys) warn(data []byte, bad []badLine) {
	sum := sha256.Sum256(data)
	a.mu.Lock()
	known := a.warned == sum
	a.warned = sum
	a.mu.Unlock()
	if known {
		return
	}
	for _, b := range bad {
		a.log.Warn("authorized key ignored", "path", a.path, "line", b.line, "err", b.err)
	}
}

type badLine struct {
	line int
	err  error
}

// parseAuthorizedKeys reads OpenSSH's AUTHORIZED_KEYS FILE FORMAT (sshd(8)). A
// line that cannot be used is reported and skipped; one with an option that is
// not implemented is never taken for one without.
func parseAuthorizedKeys(data []byte) (map[string]*ssh.Permissions, []badLine) {
	keys := make(map[string]*ssh.Permissions)
	var bad []badLine
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			bad = append(bad, badLine{i + 1, errors.New("not a key")}) // the parser's error may quote the line
			continue
		}
		perms, err := permissions(options)
		if err != nil {
			bad = append(bad, badLine{i + 1, err})
			continue
		}
		if _, isCert := key.(*ssh.Certificate); isCert {
			bad = append(bad, badLine{i + 1, errors.New("certificates are not supported")})
			continue
		}
		keys[string(key.Marshal())] = perms
	}
	return keys, bad
}

// permissions knows the options that are in force anyway or cost nothing.
func permissions(options []string) (*ssh.Permissions, error) {
	perms := &ssh.Permissions{Extensions: map[string]string{}}
	for _, o := range options {
		name, _, _ := strings.Cut(o, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-x11-forwarding", "no-user-rc": // never done
		case "agent-forwarding", "port-forwarding", "pty", "user-rc", "x11-forwarding": // lift restrictions
		case "no-touch-required":
			perms.Extensions["no-touch-required"] = ""
		default:
			return nil, fmt.Errorf("option %q is not implemented, so the key is refused", name)
		}
	}
	return perms, nil
}
