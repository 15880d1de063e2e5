package build

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	solvererrors "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"okteto/cli/ui"
)

// explain turns a failed build into a problem that shows the line of the
// Dockerfile.
func explain(err error, s *solve) error {
	problem := (*ui.Problem)(nil)
	if errors.As(err, &problem) {
		return err
	}
	problem = &ui.Problem{Summary: "the build failed", Cause: err}
	var source bytes.Buffer
	for _, part := range solvererrors.Sources(err) {
		_ = part.Print(&source) // a buffer takes everything
	}
	if source.Len() > 0 {
		problem.Detail = strings.TrimRight(source.String(), "\n") + "\n" + err.Error()
	}
	switch grpcerrors.Code(err) {
	case codes.Unavailable, codes.Canceled:
		problem.Summary = "the builder went away during the build"
		problem.Hint = "if it runs out of memory, give it more: OKTETO_BUILDER_MEMORY, after okteto build --prune"
	case codes.Unauthenticated, codes.PermissionDenied:
		problem.Hint = "log in to the registry: docker login REGISTRY"
	default:
		switch {
		case len(s.foreign) > 0:
			problem.Hint = "the builder cannot run programs of " + strings.Join(s.foreign, ", ") +
				": install emulators on its machine, such as those of tonistiigi/binfmt,\nor point BUILDKIT_HOST at a builder of that platform"
		case s.pushes && source.Len() == 0:
			problem.Hint = "if the registry refused the image, log in: docker login REGISTRY"
		}
	}
	return problem
}

// notRun are those platforms whose programs no worker of the builder can run,
// natively or emulated.
func notRun(ctx context.Context, c *client.Client, wanted []string) []string {
	if len(wanted) == 0 || ctx.Err() != nil {
		return nil
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return nil // it only adds to an error that is told anyway
	}
	var foreign []string
	for _, name := range wanted {
		platform, err := platforms.Parse(name)
		if err == nil && !slices.ContainsFunc(workers, func(w *client.WorkerInfo) bool {
			return slices.ContainsFunc(w.Platforms, platforms.Only(platform).Match)
		}) {
			foreign = append(foreign, name)
		}
	}
	return foreign
}
