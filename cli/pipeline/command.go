package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// stopGrace is how long a command may take to end after it was asked to.
const stopGrace = 10 * time.Second

// exitNotFound is the shell's exit code for a program that it does not find
// (POSIX XCU 2.8.2).
const exitNotFound = 127

// commandError says that a command of the pipeline failed. It ends the process
// with the command's exit code.
type commandError struct {
	command Command
	code    int
	cause   error
}

func (e *commandError) Error() string {
	return fmt.Sprintf("command %q failed with exit code %d", e.command.Name, e.code)
}

func (e *commandError) Unwrap() error { return e.cause }

// shell runs a pipeline's commands.
type shell struct {
	program string
	dir     string
	env     []string
	out     io.Writer
	errOut  io.Writer
	// heading is told each command before it runs.
	heading func(number, of int, c Command)
}

// newShell finds the shell: bash where there is one, as the original has it,
// else sh.
func newShell() (*shell, error) {
	for _, name := range []string{"bash", "sh"} {
		if program, err := exec.LookPath(name); err == nil {
			return &shell{program: program}, nil
		}
	}
	return nil, missing("a shell (bash or sh)", "run the pipeline's commands", exec.ErrNotFound)
}

// run runs commands in order, from the one with index first, and stops at the
// first that fails. done is told how many are done.
func (s *shell) run(ctx context.Context, commands []Command, first int, done func(int) error) error {
	for i, c := range commands {
		if i < first {
			continue
		}
		s.heading(i+1, len(commands), c)
		if err := s.one(ctx, c); err != nil {
			return err
		}
		if err := done(i + 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *shell) one(ctx context.Context, c Command) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.Command(s.program, "-c", c.Command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, s.out, s.errOut
	// What a command leaves in the background may hold its output open.
	cmd.WaitDelay = stopGrace
	g := newGroup(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.program, err)
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		g.terminate()
		timer := time.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			g.kill()
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-stopped
	g.kill() // what it left behind
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &commandError{c, exitCode(exit), err}
	}
	return fmt.Errorf("run %q: %w", c.Name, err)
}

// checkPrograms finds out before anything runs whether the programs that
// pipelines are made of are there, as far as the commands name them first.
func checkPrograms(commands []Command, env []string) error {
	path := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	for _, c := range commands {
		first, _, _ := strings.Cut(strings.TrimSpace(c.Command), " ")
		if !slices.Contains([]string{"kubectl", "helm", "git", "docker", "kustomize"}, first) {
			continue
		}
		if !onPath(first, path) {
			return missing(first, fmt.Sprintf("run %q", c.Name), exec.ErrNotFound)
		}
	}
	return nil
}

func onPath(program, path string) bool {
	for _, dir := range filepath.SplitList(path) {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return true
		}
	}
	return false
}

// replaced variables would lead a command to the cluster past the proxy, or to
// another namespace.
var replaced = []string{
	"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECTL_CONTEXT",
	"HELM_KUBECONTEXT", "HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "HELM_KUBECAFILE", "HELM_KUBEASUSER",
	"HELM_KUBEASGROUPS", "HELM_KUBETLS_SERVER_NAME", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "HELM_NAMESPACE",
	contract.EnvContext, contract.EnvNamespace, contract.EnvGitCommit, contract.EnvGitBranch,
}

// commandEnv is the user's environment with the pipeline's own variables, and
// with nothing that leads to the cluster but kubeconfig.
func commandEnv(kubeconfig, namespace string, c *checkout, variables []Variable) []string {
	drop := slices.Clone(replaced)
	for _, v := range variables {
		drop = append(drop, v.Name)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(drop, name)
	})
	env = append(env, environ(variables)...)
	env = append(env,
		"KUBECONFIG="+kubeconfig,
		contract.EnvNamespace+"="+namespace,
		contract.EnvGitCommit+"="+c.commit,
		contract.EnvGitBranch+"="+c.branch,
	)
	return withOwnProgram(env)
}

// withOwnProgram lets the commands call this very okteto.
func withOwnProgram(env []string) []string {
	self, err := os.Executable()
	if err != nil || strings.TrimSuffix(filepath.Base(self), ".exe") != "okteto" {
		return env
	}
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i] = "PATH=" + filepath.Dir(self) + string(os.PathListSeparator) + path
		}
	}
	return env
}

// show ends a run whose command failed: the problem is printed, and the
// command's exit code becomes the process's.
func show(streams ui.Streams, err error) error {
	failed := (*commandError)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	problem := &ui.Problem{
		Summary: failed.Error(),
		Hint:    "correct it and deploy again: what is deployed already stays as it is",
		Cause:   failed.cause,
	}
	if failed.code == exitNotFound {
		problem.Hint = "the shell did not find a program that the command calls: install it, or put it on PATH"
	}
	ui.Print(streams.ErrOut, problem)
	return &ui.ExitError{Code: failed.code}
}
