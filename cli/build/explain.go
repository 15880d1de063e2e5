package build

import (
	"bytes"
	"errors"
	"strings"

	solvererrors "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"okteto/cli/ui"
)

// explain turns a failed build into a problem that shows the line of the
// Dockerfile.
func explain(err error, pushes bool) error {
	problem := (*ui.Problem)(nil)
	if errors.As(err, &problem) {
		return err
	}
	problem = &ui.Problem{Summary: "the build failed", Cause: err}
	var source bytes.Buffer
	for _, s := range solvererrors.Sources(err) {
		_ = s.Print(&source) // a buffer takes everything
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
		if pushes && source.Len() == 0 {
			problem.Hint = "if the registry refused the image, log in: docker login REGISTRY"
		}
	}
	return problem
}
