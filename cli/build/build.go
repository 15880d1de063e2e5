// Package build makes container images with BuildKit: one that BUILDKIT_HOST
// leads to, or one that is started in the namespace on first use (package
// builder).
//
// It takes what `docker build` takes, and BuildKit's own client does the work:
// the context is sent incrementally and without what .dockerignore names,
// registry credentials come from Docker's configuration and are handed out for
// this build only.
package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://
	_ "github.com/moby/buildkit/client/connhelper/kubepod"         // kube-pod://
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer" // podman-container://
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"okteto/cli/build/builder"
	"okteto/cli/kube"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// attempts of a build whose builder goes away in the middle of it. What was done
// is in its cache.
const attempts = 3

// Options of Run. Values are those of `docker build`'s options of the same names.
type Options struct {
	// Context is a folder, or the address of a Git repository or an archive.
	Context string
	// File is the Dockerfile, relative to the working folder; empty is Dockerfile
	// in the context, "-" is In of Streams.
	File string
	// Tags are the image's names. With any, the image is pushed, unless Outputs
	// say otherwise. okteto.dev/NAME is in the registry of OKTETO_REGISTRY_URL.
	Tags                       []string
	Target                     string
	NoCache, Pull              bool
	BuildArgs                  []string
	CacheFrom, CacheTo         []string
	Secrets, SSH               []string
	Platforms, Outputs, Labels []string
	// Progress is auto, tty, plain or json.
	Progress string
	// Namespace for okteto.dev names.
	Namespace string
	// Client leads to the cluster of the builder; it is not needed when
	// BUILDKIT_HOST is set.
	Client  *kube.Client
	Streams ui.Streams
}

// Result of a build.
type Result struct {
	// Digest of the image or its index, sha256:…; empty if none was exported.
	Digest string `json:"digest,omitempty"`
	// Ref is the first name with the digest: what to run.
	Ref string `json:"ref,omitempty"`
	// Tags are all names, as they were pushed.
	Tags []string `json:"tags,omitempty"`
}

// Validate reports the first option that cannot be meant.
func (o *Options) Validate() error {
	if _, ok := displayModes[o.Progress]; !ok {
		return &ui.Problem{Summary: fmt.Sprintf("unknown progress %q", o.Progress), Hint: "choose one of: auto, tty, plain, json"}
	}
	if contract.RemoteBuildContext(o.Context) {
		return nil
	}
	info, err := os.Stat(o.Context)
	if err != nil || !info.IsDir() {
		return &ui.Problem{Summary: fmt.Sprintf("the build context %s is not a folder", o.Context), Cause: err, Hint: "give the folder with the Dockerfile: okteto build PATH"}
	}
	if o.File == "-" {
		return nil
	}
	file := o.dockerfile()
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return &ui.Problem{Summary: fmt.Sprintf("there is no Dockerfile at %s", file), Cause: err, Hint: "name it with -f; it is relative to the working folder"}
	}
	return nil
}

func (o *Options) dockerfile() string {
	if o.File == "" {
		return filepath.Join(o.Context, "Dockerfile")
	}
	return o.File
}

// Run builds, and pushes what has a name. A builder that goes away meanwhile is
// waited for, and the build goes on from its cache.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	tags, err := expand(o.Tags, o.Namespace)
	if err != nil {
		return Result{}, err
	}
	s, err := newSolve(&o, tags)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	b := newConnector(&o)
	for attempt := 1; ; attempt++ {
		response, err := once(ctx, b, s)
		if err == nil {
			return result(response, tags, s.pushes), nil
		}
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if !gone(err) || attempt == attempts {
			return Result{}, explain(err, s.pushes)
		}
		fmt.Fprintf(o.Streams.ErrOut, "the builder went away; building again from its cache (%d of %d)\n", attempt+1, attempts)
	}
}

func once(ctx context.Context, b *connector, s *solve) (*client.SolveResponse, error) {
	c, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	response, err := s.run(ctx, c)
	// The connection dies with the command at the latest.
	_ = c.Close()
	return response, err
}

// gone reports whether the builder ended rather than the build failed. One that
// shuts down in an orderly way cancels its builds.
func gone(err error) bool {
	problem := (*ui.Problem)(nil)
	if errors.As(err, &problem) {
		return false
	}
	switch grpcerrors.Code(err) {
	case codes.Unavailable, codes.Canceled:
		return true
	}
	return errors.Is(err, context.Canceled)
}

func result(response *client.SolveResponse, tags []string, pushed bool) Result {
	r := Result{Digest: response.ExporterResponse[exptypes.ExporterImageDigestKey]}
	if len(tags) > 0 {
		r.Tags = tags
		if pushed && r.Digest != "" {
			r.Ref = repository(tags[0]) + "@" + r.Digest
		}
	}
	return r
}

// connector connects to the builder that the environment and the options name.
type connector struct {
	host string
	in   *builder.Builder
}

func newConnector(o *Options) *connector {
	if host := os.Getenv("BUILDKIT_HOST"); host != "" {
		return &connector{host: host}
	}
	return &connector{in: &builder.Builder{Client: o.Client, Streams: o.Streams}}
}

func (b *connector) connect(ctx context.Context) (*client.Client, error) {
	if b.host == "" {
		return b.in.Connect(ctx)
	}
	problem := &ui.Problem{
		Summary: "cannot reach the builder of BUILDKIT_HOST at " + b.host,
		Hint:    "check the address, or unset BUILDKIT_HOST to use a builder in the cluster",
	}
	c, err := client.New(ctx, b.host)
	if err != nil {
		problem.Cause = err
		return nil, problem
	}
	if err := builder.Answers(ctx, c); err != nil {
		_ = c.Close() // it was never of use
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		problem.Cause = err
		return nil, problem
	}
	return c, nil
}
