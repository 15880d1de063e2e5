package session

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// account is the passwd entry of the server's own user; sessions run as it.
type account struct {
	name, home, shell string
}

// lookupAccount reads /etc/passwd. Pods often run as a uid that has no entry:
// then all fields are empty. (os/user does not tell the shell.)
func lookupAccount() account {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return account{}
	}
	defer f.Close()
	return parseAccount(bufio.NewScanner(f), strconv.Itoa(os.Getuid()))
}

func parseAccount(lines *bufio.Scanner, uid string) account {
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) == 7 && f[2] == uid {
			return account{name: f[0], home: f[5], shell: strings.TrimSpace(f[6])}
		}
	}
	return account{}
}

// shell is a program that takes "-c command".
type shell struct {
	path string
	// argv0 and before come before -c; before is "sh" for a bare busybox.
	argv0  string
	before []string
	// appendPath is added to PATH: the applets, in an image without a shell.
	appendPath string
}

func (s shell) command(text string) []string {
	return append(append([]string{s.argv0}, s.before...), "-c", text)
}

func (s shell) interactive(login bool) []string {
	argv0 := s.argv0
	if login && len(s.before) == 0 {
		argv0 = "-" + filepath.Base(s.path)
	}
	return append([]string{argv0}, s.before...)
}

var errNoShell = errors.New("the image has no shell and the bundled busybox is missing")

// shellFinder finds the shell anew for each session: packages come and go in a
// dev container.
type shellFinder struct {
	busybox string
	dirs    []string

	mu     sync.Mutex // protects the following
	linked string
}

func (f *shellFinder) find(acct account) (shell, error) {
	if acct.shell != "" && !refusesLogin(acct.shell) && executable(acct.shell) {
		return shell{path: acct.shell, argv0: acct.shell}, nil
	}
	for _, name := range []string{"bash", "sh"} {
		if path, err := exec.LookPath(name); err == nil {
			return shell{path: path, argv0: path}, nil
		}
		for _, dir := range []string{"/bin/", "/usr/bin/"} {
			if executable(dir + name) {
				return shell{path: dir + name, argv0: dir + name}, nil
			}
		}
	}
	if !executable(f.busybox) {
		return shell{}, errNoShell
	}
	if dir := f.applets(); dir != "" {
		sh := filepath.Join(dir, "sh")
		return shell{path: sh, argv0: sh, appendPath: dir}, nil
	}
	return shell{
		path: f.busybox, argv0: f.busybox, before: []string{"sh"},
		appendPath: filepath.Dir(f.busybox),
	}, nil
}

// refusesLogin knows the shells that system accounts are given; in a pod the
// developer runs as such an account quite often.
func refusesLogin(path string) bool {
	switch filepath.Base(path) {
	case "nologin", "false", "true", "sync", "halt", "shutdown":
		return true
	}
	return false
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}

// applets makes a directory of links to the busybox, one per applet, so that
// an image with nothing in it has ls, cat, vi and a $SHELL that is one path.
func (f *shellFinder) applets() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.linked != "" && executable(filepath.Join(f.linked, "sh")) {
		return f.linked
	}
	f.linked = ""
	out, err := exec.Command(f.busybox, "--list").Output()
	if err != nil {
		return ""
	}
	for _, dir := range f.dirs {
		if linkApplets(f.busybox, dir, strings.Fields(string(out))) == nil {
			f.linked = dir
			break
		}
	}
	return f.linked
}

func linkApplets(busybox, dir string, names []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range append(names, "sh") {
		if strings.ContainsRune(name, '/') {
			continue
		}
		if err := os.Symlink(busybox, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
