// Package pipeline deploys a repository by its okteto-pipeline.yml, and removes
// again what came of it.
//
// The file's commands run on this machine, in order, in a shell. What they create
// in the cluster is marked on its way there by an API proxy (package proxy), and
// the state of the pipeline is kept in the ConfigMap okteto-git-<name> in the
// original's format, so that anyone with access to the namespace sees it and can
// destroy it. The ConfigMap is also the lock: one deploy or destroy at a time,
// and a holder that dies is noticed because it no longer renews it.
package pipeline

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"okteto/cli/kube"
	"okteto/cli/ui"
)

// DefaultTimeout of a deploy or destroy.
const DefaultTimeout = 5 * time.Minute

// nameLimit leaves room for the ConfigMap's prefix and fits a label's value.
const nameLimit = 63 - len("okteto-git-")

// Source says where a pipeline's files are.
type Source struct {
	// Repository is a URL to clone; empty is the folder Dir, unless Branch is
	// set, which means the folder's origin.
	Repository, Branch string
	// Dir is the working folder, "" the current one.
	Dir string
	// File is the pipeline's file, relative to the repository; empty looks for
	// the usual names.
	File string
}

// Options are common to deploy and destroy.
type Options struct {
	Source
	// Name of the pipeline; empty takes the repository's or the folder's name.
	Name string
	// Timeout of the whole run; 0 is none.
	Timeout time.Duration
	Client  *kube.Client
	Streams ui.Streams
}

// Validate reports the first thing that cannot be meant.
func (o *Options) Validate() error {
	if o.Timeout < 0 {
		return &ui.Problem{Summary: fmt.Sprintf("timeout %s is negative", o.Timeout), Hint: "0 waits for ever"}
	}
	return nil
}

func validateName(name string) error {
	clean := objectName(name)
	if clean == "" || len(clean) > nameLimit || len(validation.IsDNS1123Label(clean)) > 0 {
		return &ui.Problem{
			Summary: fmt.Sprintf("%q cannot be the name of a pipeline", name),
			Hint:    fmt.Sprintf("letters, digits and dashes, at most %d; set it with --name", nameLimit),
		}
	}
	return nil
}

// objectName is the name as Kubernetes can spell it, the original's way: lower
// case, everything else a dash.
func objectName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
}

// PipelineName is Name, else the last part of the repository's URL, or the
// folder's name; a problem if that cannot be one.
func (o *Options) PipelineName() (string, error) {
	if o.Name != "" {
		return o.Name, validateName(o.Name)
	}
	if o.Repository != "" {
		name := strings.TrimSuffix(strings.TrimRight(o.Repository, "/"), ".git")
		name = path.Base(filepath.ToSlash(strings.ReplaceAll(name, ":", "/")))
		return name, validateName(name)
	}
	dir, err := o.dir()
	if err != nil {
		return "", err
	}
	name := filepath.Base(dir)
	return name, validateName(name)
}

func (s Source) dir() (string, error) {
	dir := s.Dir
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return "", fmt.Errorf("find the working folder: %w", err)
		}
	}
	return filepath.Abs(dir)
}

// limit is the run's context: Timeout, if there is one, ends it with a cause
// that says so.
func (o *Options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.Timeout, &timeoutError{o.Timeout})
}

type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("not done within %s", e.limit) }
func (e *timeoutError) Timeout() bool { return true }
