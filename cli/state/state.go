// Package state keeps what the CLI remembers on the laptop: the folder ~/.okteto
// with one folder per environment, and in it the process that runs `up`, how far
// it is, and the environment's keys.
//
// Files are written whole or not at all, with mode 0600 in folders of mode 0700.
// The lock of an environment is the operating system's, so it goes with its
// process however that ends. A file that cannot be understood is set aside with
// a message, never deleted.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// Home returns the state folder, made if it is missing: OKTETO_FOLDER, which must
// exist, else .okteto below OKTETO_HOME or the home folder.
func Home() (string, error) {
	if dir := os.Getenv(contract.EnvFolder); dir != "" {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() {
			return "", &ui.Problem{
				Summary: fmt.Sprintf("%s is not a folder: %s", contract.EnvFolder, dir),
				Cause:   err,
				Hint:    "create the folder, or unset " + contract.EnvFolder,
			}
		}
		return filepath.Abs(dir)
	}
	parent := os.Getenv(contract.EnvHome)
	if parent == "" {
		var err error
		if parent, err = os.UserHomeDir(); err != nil {
			return "", &ui.Problem{
				Summary: "cannot find the home folder",
				Cause:   err,
				Hint:    "set HOME, or " + contract.EnvHome + " to a folder that is yours",
			}
		}
	}
	dir := filepath.Join(parent, contract.StateFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &ui.Problem{
			Summary: "cannot create the state folder " + dir,
			Cause:   err,
			Hint:    "make it writable, or set " + contract.EnvHome + " to a folder that is yours",
		}
	}
	return filepath.Abs(dir)
}

// Env is the folder of one environment.
type Env struct {
	// Home is the state folder, Dir the environment's own below it.
	Home, Dir       string
	Namespace, Name string
}

// Locate names the folder of an environment without making it.
func Locate(namespace, name string) (*Env, error) {
	for _, part := range []string{namespace, name} {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, `/\:`) {
			return nil, fmt.Errorf("locate state folder: %q is not a name", part)
		}
	}
	home, err := Home()
	if err != nil {
		return nil, err
	}
	return &Env{Home: home, Dir: filepath.Join(home, namespace, name), Namespace: namespace, Name: name}, nil
}

// Open is Locate and makes the folder.
func Open(namespace, name string) (*Env, error) {
	e, err := Locate(namespace, name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	return e, nil
}

// Path of a file in the environment's folder.
func (e *Env) Path(name string) string { return filepath.Join(e.Dir, name) }

// Exists reports whether the folder is there.
func (e *Env) Exists() bool {
	info, err := os.Stat(e.Dir)
	return err == nil && info.IsDir()
}

// SetState records how far `up` is; see contract.StateActivating and its
// siblings.
func (e *Env) SetState(state string) error {
	return WriteFile(e.Path(contract.StateFile), []byte(state))
}

// State returns what SetState recorded, or "" when no `up` recorded anything.
func (e *Env) State() (string, error) {
	content, err := os.ReadFile(e.Path(contract.StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read state: %w", err)
	}
	// S-era CLIs wrote "failed:<message>".
	word, _, _ := strings.Cut(strings.TrimSpace(string(content)), ":")
	return word, nil
}

// WritePID records this process as the environment's `up`, in the original's
// format: decimal, no newline.
func (e *Env) WritePID() error {
	return WriteFile(e.Path(contract.PIDFile), []byte(strconv.Itoa(os.Getpid())))
}

// PID returns what okteto.pid says, or 0 when it is missing or no number.
func (e *Env) PID() int {
	content, err := os.ReadFile(e.Path(contract.PIDFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// Clear removes what only a running `up` means: its state, and its pid if that
// is still this process's.
func (e *Env) Clear() error {
	err := os.Remove(e.Path(contract.StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if e.PID() == os.Getpid() {
		err = errors.Join(err, os.Remove(e.Path(contract.PIDFile)))
	}
	if err != nil {
		return fmt.Errorf("clear state: %w", err)
	}
	return nil
}

// Prune removes the environment's folder and its namespace's when nothing is in
// them, so that a command that failed leaves no trace.
func (e *Env) Prune() {
	if os.Remove(e.Dir) == nil {
		_ = os.Remove(filepath.Dir(e.Dir)) // fails while others are in it
	}
}

// WriteFile replaces a file in one step: readers see the old content or the new.
// The mode is 0600 and the folder must exist.
func WriteFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SetAside renames a file that cannot be understood, so that a new one can be
// made and the old one looked at. It returns the new name.
func SetAside(path string) (string, error) {
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set %s aside: %w", path, err)
	}
	return aside, nil
}
