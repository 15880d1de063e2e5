package sandbox

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"okteto/internal/contract"
)

// built agents of this test binary; made once.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// Agents builds the agents and puts them together as the init image does. The
// directory is shared by all tests of the binary; Clean removes it.
func Agents(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.dir, built.err = build() })
	if errors.Is(built.err, errNoBusybox) {
		t.Skip(built.err)
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// Clean removes what Agents has made. TestMain calls it at the end.
func Clean() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "okteto-agents-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	root, err := moduleRoot()
	if err != nil {
		return dir, err
	}
	for name, pkg := range map[string]string{
		contract.SupervisorBinary: "./bin-image/supervisor",
		contract.SyncthingBinary:  "./bin-image/syncthing",
		contract.RemoteBinary:     "./remote",
		"clean":                   "./bin-image/clean",
	} {
		cmd := exec.Command("go", "build", "-tags", "noassets", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	if err := copyFile(filepath.Join(root, "bin-image/start.sh"), filepath.Join(dir, "start.sh")); err != nil {
		return dir, err
	}
	busybox, err := staticBusybox()
	if err != nil {
		return dir, err
	}
	return dir, copyFile(busybox, filepath.Join(dir, filepath.Base(contract.Busybox)))
}

var errNoBusybox = errors.New("a static busybox is needed (Debian: busybox-static)")

// staticBusybox finds one that needs no loader, as the init image's.
func staticBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoBusybox, err)
	}
	file, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoBusybox, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%w: %s is dynamically linked", errNoBusybox, path)
		}
	}
	return path, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find go.mod above the working directory: %w", os.ErrNotExist)
		}
		dir = parent
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
