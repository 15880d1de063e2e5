// Package sshconfig makes an environment known to SSH clients: `ssh api.okteto`,
// rsync, and the remote extensions of editors.
//
// Entries are kept in a file of their own, <state folder>/ssh_config, which the
// user's ~/.ssh/config includes with one line at its top. Where a client cannot
// read Include (OpenSSH before 7.3, some editors), OKTETO_SSH_CONFIG=inline puts
// them into the user's file itself. Either way the user's lines, comments, line
// ends and symbolic links stay as they are, and the file is replaced in one step.
package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"okteto/internal/contract"
)

const (
	// EnvMode set to ModeInline avoids Include, ModeOff keeps our hands off.
	EnvMode    = "OKTETO_SSH_CONFIG"
	ModeInline = "inline"
	ModeOff    = "off"

	ownFile  = "ssh_config"
	lockName = "ssh_config.lock"

	includeComment = "# environments of okteto; the line goes with the last of them"
	lockWait       = 5 * time.Second
)

// Entry is one environment.
type Entry struct {
	// Name of the environment; the host is Name.okteto.
	Name     string
	HostName string
	Port     int
	// IdentityFile is the developer's private key, KnownHosts the file that pins
	// the environment's host key under the name of the host.
	IdentityFile, KnownHosts string
}

// Host that SSH clients are given.
func (e Entry) Host() string { return e.Name + contract.SSHHostSuffix }

// lines of the entry, without line ends.
func (e Entry) lines() []string {
	return []string{
		contract.SSHEntryComment,
		"Host " + e.Host(),
		"  ForwardAgent yes",
		"  HostName " + e.HostName,
		"  Port " + strconv.Itoa(e.Port),
		"  HostKeyAlias " + e.Host(),
		"  StrictHostKeyChecking yes",
		"  UserKnownHostsFile " + quote(e.KnownHosts),
		"  IdentityFile " + quote(e.IdentityFile),
		"  IdentitiesOnly yes",
		"  ServerAliveInterval 10",
	}
}

// quote writes a path as ssh_config(5) wants one that may have spaces. OpenSSH
// takes forward slashes on Windows too, and backslashes for escapes.
func quote(path string) string { return `"` + filepath.ToSlash(path) + `"` }

// Add puts an entry in, in place of an older one of the same name.
func Add(home string, e Entry) error {
	mode := os.Getenv(EnvMode)
	if mode == ModeOff {
		return nil
	}
	return locked(home, func() error {
		own := filepath.Join(home, ownFile)
		user, err := userFile()
		if err != nil {
			return err
		}
		if mode == ModeInline {
			return edit(user, func(f *file) { f.remove(e.Host()); f.insert(e.lines()) })
		}
		if err := edit(own, func(f *file) { f.remove(e.Host()); f.insert(e.lines()) }); err != nil {
			return err
		}
		// An entry that the original CLI left in the user's file would be
		// shadowed, and confuse who reads it.
		return edit(user, func(f *file) { f.remove(e.Host()); f.include(quote(own)) })
	})
}

// Remove takes an environment's entry out, wherever it is. The Include line goes
// with the last entry.
func Remove(home, name string) error {
	if os.Getenv(EnvMode) == ModeOff {
		return nil
	}
	host := Entry{Name: name}.Host()
	own := filepath.Join(home, ownFile)
	user, err := userFile()
	if err != nil {
		return err
	}
	if !exists(own) && !exists(user) {
		return nil
	}
	return locked(home, func() error {
		empty := true
		if err := edit(own, func(f *file) { f.remove(host); empty = f.blank() }); err != nil {
			return err
		}
		return edit(user, func(f *file) {
			f.remove(host)
			if empty {
				f.exclude(quote(own))
			}
		})
	})
}

// Port returns the port of an environment's entry.
func Port(home, name string) (int, bool) {
	paths := []string{filepath.Join(home, ownFile)}
	if user, err := userFile(); err == nil {
		paths = append(paths, user)
	}
	for _, path := range paths {
		f, err := read(path)
		if err != nil {
			continue
		}
		if port, err := strconv.Atoi(f.option(Entry{Name: name}.Host(), "port")); err == nil && port > 0 {
			return port, true
		}
	}
	return 0, false
}

// WriteKnownHosts writes the file that pins an environment's host key. line is as
// sshd(8) has it: host, type, key.
func WriteKnownHosts(path, line string) error {
	return replace(path, []byte(strings.TrimRight(line, "\n")+"\n"), 0o600)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// userFile is ~/.ssh/config, or what it links to.
func userFile() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the SSH configuration: %w", err)
	}
	path := filepath.Join(home, ".ssh", "config")
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, err := os.Readlink(path); err == nil {
			return "", fmt.Errorf("SSH configuration %s leads to %s, which does not exist", path, target)
		}
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("find the SSH configuration: %w", err)
	}
	return resolved, nil
}

// locked runs change while no other okteto process changes the files.
func locked(home string, change func() error) error {
	lock := flock.New(filepath.Join(home, lockName), flock.SetPermissions(0o600))
	deadline := time.Now().Add(lockWait)
	for {
		ok, err := lock.TryLock()
		if err != nil {
			return fmt.Errorf("lock the SSH configuration: %w", err)
		}
		if ok {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lock the SSH configuration: %s is held by another process", lock.Path())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(change(), lock.Close())
}

// edit changes a file, or makes it, or removes it when nothing is left of one
// that this package made.
func edit(path string, change func(*file)) error {
	f, err := read(path)
	if err != nil {
		return err
	}
	before := f.String()
	change(f)
	after := f.String()
	switch {
	case after == before:
		return nil
	case f.blank():
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("change SSH configuration: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("change SSH configuration: %w", err)
	}
	return replace(path, []byte(after), f.mode)
}

// replace puts a file in place in one step. Its folder must exist.
func replace(path string, content []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".okteto-*")
	if err != nil {
		return fmt.Errorf("change SSH configuration: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(mode), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("change SSH configuration: %w", err)
	}
	return nil
}
