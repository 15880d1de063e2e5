package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CLI runs the okteto binary as one developer on one laptop: a home folder, a
// project folder, a kubeconfig.
type CLI struct {
	Binary     string
	Home       string
	Dir        string
	Kubeconfig string
	Namespace  string
	// Env is added to the command's environment.
	Env []string
}

// Result of a finished command.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// NewCLI returns the binary that `make build` left, for a home and a project.
func (c *Cluster) NewCLI(home, dir, namespace string) *CLI {
	binary := os.Getenv(EnvBinary)
	if binary == "" {
		binary = filepath.Join(c.Root, "bin", "okteto")
	}
	return &CLI{Binary: binary, Home: home, Dir: dir, Kubeconfig: c.Kubeconfig, Namespace: namespace}
}

// Command prepares `okteto args…`; the caller sets the streams and starts it.
func (c *CLI) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(),
		"HOME="+c.Home, "KUBECONFIG="+c.Kubeconfig, "OKTETO_NAMESPACE="+c.Namespace,
		"OKTETO_FOLDER=", "OKTETO_HOME=", "SSH_AUTH_SOCK=")
	cmd.Env = append(cmd.Env, c.Env...)
	// A child that outlives its parent (a detached up) may hold the streams.
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Run runs `okteto args…` to its end with stdin, which may be nil. A command
// that ran and failed is no error: see Result.Code.
func (c *CLI) Run(ctx context.Context, stdin io.Reader, args ...string) (Result, error) {
	cmd := c.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode(), Took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return result, fmt.Errorf("run okteto %v: %w", args, err)
	}
	return result, nil
}

// Succeed runs a command that has to succeed.
func (c *CLI) Succeed(ctx context.Context, args ...string) (Result, error) {
	result, err := c.Run(ctx, nil, args...)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("okteto %s: exit code %d\n%s%s", strings.Join(args, " "), result.Code, result.Stdout, result.Stderr)
	}
	return result, err
}

// CopyTree copies a folder of plain files, such as a sample, into dir.
func CopyTree(dir, from string) error {
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}
