package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// supervise starts the daemon again whenever it ends, as the supervisor does,
// until stop is called.
func (d *daemon) supervise() (stop func()) {
	d.t.Helper()
	var mu sync.Mutex
	var process *exec.Cmd
	stopping := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			cmd := exec.Command(os.Args[0], "--config", d.home, "--data", d.data, "--listen-address", d.listen, "--gui-address", d.gui)
			cmd.Env = append(os.Environ(), "OKTETO_TEST_DAEMON=1")
			mu.Lock()
			if stopping {
				mu.Unlock()
				return
			}
			err := cmd.Start()
			process = cmd
			mu.Unlock()
			if err != nil {
				d.t.Error(err)
				return
			}
			_ = cmd.Wait()
		}
	}()
	return func() {
		mu.Lock()
		stopping = true
		if process != nil {
			_ = process.Process.Signal(syscall.SIGTERM)
		}
		mu.Unlock()
		<-done
	}
}

// TestDatabaseDamagedAnywhere truncates, empties, removes and overwrites parts of
// the files of a database: the daemon repairs it or starts with a new one, though
// the library may end the process when it meets what is damaged. Both sides become
// equal again, and no file is lost.
func TestDatabaseDamagedAnywhere(t *testing.T) {
	const files = 100
	d := newDaemon(t, 32)
	stop := d.supervise()
	defer func() { stop() }()
	laptop := t.TempDir()
	name := func(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("d%d", i%7), fmt.Sprint(i)) }
	for i := range files {
		if err := os.MkdirAll(filepath.Dir(name(laptop, i)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name(laptop, i), fmt.Append(nil, "content ", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.laptop(laptop)
	eventually(t, "all files", func() bool {
		for i := range files {
			if !has(name(d.folder, i), fmt.Sprint("content ", i)) {
				return false
			}
		}
		return true
	})
	random := rand.New(rand.NewPCG(1, 1))
	for _, damage := range []struct {
		name string
		do   func(path string, content []byte) error
	}{
		{"half", func(path string, content []byte) error { return os.WriteFile(path, content[:len(content)/2], 0o600) }},
		{"empty", func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) }},
		{"removed", func(path string, _ []byte) error { return os.Remove(path) }},
		{"overwritten", func(path string, content []byte) error {
			for range min(20, len(content)) {
				content[random.IntN(len(content))] ^= 0xff
			}
			return os.WriteFile(path, content, 0o600)
		}},
	} {
		for _, pattern := range []string{"CURRENT", "MANIFEST-*", "*.log", "*.ldb"} {
			stop()
			found, err := filepath.Glob(filepath.Join(d.data, "index-v0.14.0.db", pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range found {
				content, err := os.ReadFile(file)
				if err == nil {
					err = damage.do(file, content)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			stop = d.supervise()
			after := fmt.Sprintf("after %s %s", damage.name, strings.Trim(pattern, "*.-"))
			if err := os.WriteFile(filepath.Join(laptop, after), []byte(after), 0o644); err != nil {
				t.Fatal(err)
			}
			eventually(t, after, func() bool { return has(filepath.Join(d.folder, after), after) })
			for i := range files {
				for _, dir := range []string{laptop, d.folder} {
					if !has(name(dir, i), fmt.Sprint("content ", i)) {
						t.Fatalf("%s %s: %s is gone", damage.name, pattern, name(dir, i))
					}
				}
			}
		}
	}
}
