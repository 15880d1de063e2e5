package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"okteto/cli/ui"
)

// checkout is a pipeline's files, and what git says about them.
type checkout struct {
	dir string
	// repository has no credentials in it; all three are empty in a folder that
	// git does not know.
	repository, branch, commit string
	// cloned is true for a temporary clone, which remove deletes.
	cloned bool
	// secret is the password in the repository's URL, if any.
	secret string
}

func (c *checkout) remove() {
	if c.cloned {
		_ = os.RemoveAll(c.dir) // a temporary folder
	}
}

// open makes the pipeline's files available: the folder itself, or a shallow
// clone.
func (s Source) open(ctx context.Context, streams ui.Streams) (*checkout, error) {
	if s.Repository == "" && s.Branch == "" {
		dir, err := s.dir()
		if err != nil {
			return nil, err
		}
		return inspect(ctx, dir), nil
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, missing("git", "clone the repository", err)
	}
	repository := s.Repository
	if repository == "" {
		dir, err := s.dir()
		if err != nil {
			return nil, err
		}
		if repository, err = git(ctx, dir, "config", "--get", "remote.origin.url"); err != nil {
			return nil, &ui.Problem{
				Summary: fmt.Sprintf("cannot tell the repository of branch %s: %s has no remote called origin", s.Branch, dir),
				Hint:    "name it: -r URL", Cause: err,
			}
		}
	}
	return clone(ctx, repository, s.Branch, streams)
}

func clone(ctx context.Context, repository, branch string, streams ui.Streams) (*checkout, error) {
	dir, err := os.MkdirTemp("", "okteto-pipeline-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to clone to: %w", err)
	}
	c := &checkout{dir: dir, cloned: true}
	c.repository, c.secret = withoutCredentials(repository)
	args := []string{"clone", "--quiet", "--depth", "1", "--recurse-submodules", "--shallow-submodules"}
	if branch != "" {
		args = append(args, "--branch="+branch)
	}
	cmd := exec.CommandContext(ctx, "git", append(args, "--", repository, dir)...)
	if _, ok := ui.Terminal(streams.In); ok {
		cmd.Stdin = streams.In
	} else {
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		c.remove()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		detail := strings.TrimSpace(output.String())
		if c.secret != "" {
			detail = strings.ReplaceAll(detail, c.secret, mask)
		}
		what := c.repository
		if branch != "" {
			what += ", branch " + branch
		}
		return nil, &ui.Problem{Summary: "cannot clone " + what, Detail: detail, Hint: "check the address, the branch and your access: git ls-remote " + c.repository, Cause: err}
	}
	facts := inspect(ctx, dir)
	c.commit, c.branch = facts.commit, facts.branch
	if branch != "" {
		c.branch = branch
	}
	return c, nil
}

// inspect asks git about a folder; what it does not know stays empty.
func inspect(ctx context.Context, dir string) *checkout {
	c := &checkout{dir: dir}
	if origin, err := git(ctx, dir, "config", "--get", "remote.origin.url"); err == nil {
		c.repository, c.secret = withoutCredentials(origin)
	}
	if commit, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD"); err == nil {
		c.commit = commit
	}
	if branch, err := git(ctx, dir, "symbolic-ref", "--short", "--quiet", "HEAD"); err == nil {
		c.branch = branch
	}
	return c
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(output)), nil
}

// withoutCredentials returns a repository's address as it may be shown and
// recorded, and the secret that was in it.
func withoutCredentials(repository string) (address, secret string) {
	u, err := url.Parse(repository)
	if err != nil || u.User == nil || u.Host == "" {
		return repository, "" // host:path of ssh has no place for a password
	}
	password, has := u.User.Password()
	switch {
	case has:
		secret = password
	case u.Scheme == "http" || u.Scheme == "https":
		secret = u.User.Username() // tokens are used as user names
	}
	if u.Scheme == "ssh" {
		u.User = url.User(u.User.Username())
	} else {
		u.User = nil
	}
	return u.String(), secret
}

// missing is the problem of a program that is not installed.
func missing(program, purpose string, err error) error {
	problem := &ui.Problem{
		Summary: fmt.Sprintf("%s is not installed, and is needed to %s", program, purpose),
		Hint:    fmt.Sprintf("install %s, or put the folder it is in on PATH", program),
	}
	if !errors.Is(err, exec.ErrNotFound) {
		problem.Cause = err
	}
	return problem
}
