package process

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// start runs a shell script that says when it is ready.
func start(t *testing.T, script string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func snapshotWith(t *testing.T, pid int) (*Table, *Process) {
	t.Helper()
	table, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	p := table.Get(pid)
	if p == nil {
		t.Fatalf("process %d is not in the table", pid)
	}
	return table, p
}

func TestTable(t *testing.T) {
	cmd := start(t, "sleep 60 & echo; wait", "MARK=yes", "EMPTY=")
	table, p := snapshotWith(t, cmd.Process.Pid)
	self := table.Get(os.Getpid())
	if p.Parent != self.PID || table.Ancestors(p)[0] != self {
		t.Errorf("parent %d, ancestors %v", p.Parent, table.Ancestors(p))
	}
	children := table.Descendants(p.PID)
	if len(children) != 1 || children[0].Name != "sleep" {
		t.Errorf("descendants: %v", children)
	}
	if !slices.Contains(table.Descendants(self.PID), children[0]) {
		t.Error("a grandchild is no descendant")
	}
	if args := p.Args(); len(args) != 3 || args[1] != "-c" {
		t.Errorf("args %q", args)
	}
	for name, want := range map[string]string{"MARK": "yes", "EMPTY": ""} {
		if got, ok := p.Getenv(name); !ok || got != want {
			t.Errorf("%s=%q, %v", name, got, ok)
		}
	}
	if _, ok := p.Getenv("MAR"); ok {
		t.Error("half of a name is a name")
	}
	if p.MountNamespace() == "" || p.MountNamespace() != self.MountNamespace() {
		t.Errorf("mount namespaces %q and %q", p.MountNamespace(), self.MountNamespace())
	}
	if !strings.HasPrefix(p.Executable(), "/") {
		t.Errorf("executable %q", p.Executable())
	}
}

func TestEnd(t *testing.T) {
	polite := start(t, `trap "exit 3" TERM; echo; while :; do sleep 0.05; done`)
	deaf := start(t, `trap "" TERM; echo; while :; do sleep 0.05; done`)
	_, p := snapshotWith(t, polite.Process.Pid)
	_, d := snapshotWith(t, deaf.Process.Pid)
	if left := End(context.Background(), []*Process{p, d}, 300*time.Millisecond); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if p.Same() || d.Same() {
		t.Error("they still run")
	}
	_ = polite.Wait()
	if got := polite.ProcessState.ExitCode(); got != 3 {
		t.Errorf("the polite one ended with %d", got)
	}
}

// TestSignalSparesAnotherProcess that has the pid now.
func TestSignalSparesAnotherProcess(t *testing.T) {
	cmd := start(t, "echo; exec sleep 60")
	_, p := snapshotWith(t, cmd.Process.Pid)
	other := *p
	other.Start++ // as if it had started at another time
	if err := other.Signal(9); err != nil {
		t.Fatal(err)
	}
	if !p.Same() {
		t.Error("a process was hit for its pid alone")
	}
	if err := p.Signal(9); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := p.Signal(9); err != nil {
		t.Errorf("what has ended: %v", err)
	}
}
