//go:build linux

package engine

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCheckoutBetweenBranches goes to and fro between two branches that differ in most
// files, while something in the pod saves all the time: no branch's file is changed by
// it, nothing stops the folder, and no save is lost.
func TestCheckoutBetweenBranches(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot, c.Folders[0].MaxConflicts = true, -1 })
	repository := p.near.home + ".git"
	git := func(args ...string) string {
		t.Helper()
		all := append([]string{"--git-dir", repository, "--work-tree", p.near.dir, "-c", "user.name=x", "-c", "user.email=x@x", "-c", "gc.auto=0"}, args...)
		out, err := exec.Command("git", all...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out, err := exec.Command("git", "init", "-q", "--bare", repository).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	git("config", "core.bare", "false")
	git("checkout", "-q", "-B", "one")
	const files = 600
	for i := range files {
		p.near.write(t, fmt.Sprintf("src/%d/f%d", i%20, i), fmt.Sprintf("one %d", i))
	}
	git("add", "-A")
	git("commit", "-q", "-m", "one")
	git("checkout", "-q", "-b", "two")
	for i := range files {
		switch name := fmt.Sprintf("%d/f%d", i%20, i); i % 3 {
		case 0:
			p.near.write(t, "src/"+name, fmt.Sprintf("two %d", i))
		case 1:
			if err := os.Remove(p.near.path("src/" + name)); err != nil {
				t.Fatal(err)
			}
			p.near.write(t, "moved/"+name, fmt.Sprintf("one %d", i))
		}
	}
	git("add", "-A")
	git("commit", "-q", "-m", "two")
	p.startBoth()
	p.equalTrees()

	stop, done := make(chan struct{}), make(chan error, 1)
	last := map[string]string{}
	go func() {
		for i := 0; ; i++ {
			name, content := fmt.Sprintf("src/log%d", i%5), fmt.Sprint("save ", i)
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(10 * time.Millisecond):
			}
			if err := os.WriteFile(p.far.path(name), []byte(content), 0o644); err != nil {
				done <- err
				return
			}
			last[name] = content
		}
	}()
	for i := range 8 {
		git("checkout", "-q", []string{"one", "two"}[i%2])
		time.Sleep(time.Duration(i*40) * time.Millisecond)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.equalTrees()
	p.settled()
	for _, e := range []*end{p.near, p.far} {
		eventually(t, "no errors in "+e.dir, func() bool {
			f := e.Status().Folders[0]
			return f.State == "idle" && f.ErrorCount == 0
		})
		for name, content := range last {
			if !e.has(name, content) {
				t.Errorf("%s in %s is not the last save", name, e.dir)
			}
		}
	}
	for line := range strings.Lines(git("status", "--porcelain")) {
		if !strings.Contains(line, "src/log") && !strings.Contains(line, ".stignore") {
			t.Errorf("git status: %s", line)
		}
	}
}
