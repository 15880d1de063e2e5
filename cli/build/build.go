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

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

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
	Client *kube.Client
	// TLS to the builder of BUILDKIT_HOST; what it leaves out may be in the
	// environment.
	TLS     TLS
	Streams ui.Streams
}

// Result of a build.
type Result struct {
	// Digest of the image or its index, sha256:…; empty if none was exported.
	Digest string `json:"digest,omitempty"`
	// Ref is the first name with the digest: what to run.
	Ref string `json:"ref,omitempty"`
	// Tags are all names that the image was exported under.
	Tags []string `json:"tags,omitempty"`
}

// Validate reports the first option that cannot be meant.
func (o *Options) Validate() error {
	if _, ok := displayModes[o.Progress]; !ok {
		return &ui.Problem{Summary: fmt.Sprintf("unknown progress %q", o.Progress), Hint: "choose one of: auto, tty, plain, json"}
	}
	for _, platform := range o.Platforms {
		if _, err := platforms.Parse(platform); err != nil {
			return &ui.Problem{Summary: fmt.Sprintf("unknown platform %q", platform), Cause: err, Hint: "write OS/ARCHITECTURE, such as linux/arm64"}
		}
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
	connector, err := newConnector(&o)
	if err != nil {
		return Result{}, err
	}
	s, err := newSolve(&o, tags)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	for attempt := 1; ; attempt++ {
		response, err := once(ctx, connector, s)
		if err == nil {
			return result(response, s), nil
		}
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if !gone(err) || attempt == attempts || s.streamed.Load() {
			return Result{}, explain(err, s)
		}
		fmt.Fprintf(o.Streams.ErrOut, "the builder went away; building again from its cache (%d of %d)\n", attempt+1, attempts)
	}
}

func once(ctx context.Context, to connector, s *solve) (*client.SolveResponse, error) {
	c, err := to.Connect(ctx)
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

func result(response *client.SolveResponse, s *solve) Result {
	r := Result{Digest: response.ExporterResponse[exptypes.ExporterImageDigestKey], Tags: s.names}
	if len(s.names) > 0 && s.pushes && r.Digest != "" {
		r.Ref = repository(s.names[0]) + "@" + r.Digest
	}
	return r
}
