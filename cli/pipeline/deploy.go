package pipeline

import (
	"context"
	"errors"
	"fmt"

	"okteto/cli/ui"
)

// DeployOptions of Deploy.
type DeployOptions struct {
	Options
	// Variables are given to the commands, see ParseVariables.
	Variables []Variable
	// Wait until what was deployed is available.
	Wait bool
	// SkipIfExists leaves a pipeline that is deployed as it is.
	SkipIfExists bool
}

// Deploy runs the deploy commands of a pipeline's file. A failed command is a
// *ui.ExitError with its exit code; what it had deployed stays.
func Deploy(ctx context.Context, o DeployOptions) error {
	return o.framed(ctx, o.deploy)
}

func skipped(streams ui.Streams, name string, err error) error {
	if err == nil {
		fmt.Fprintf(streams.ErrOut, "pipeline %s is deployed already\n", name)
	}
	return err
}

func (o *DeployOptions) deploy(ctx context.Context, name string) error {
	if o.SkipIfExists {
		if r, err := Get(ctx, o.Client, name); err != nil || r != nil && r.Status == Deployed {
			return skipped(o.Streams, name, err)
		}
	}
	files, err := o.open(ctx, o.Streams)
	if err != nil {
		return err
	}
	defer files.remove()
	file, err := readFile(files.dir, o.File)
	if err != nil {
		return err
	}
	if len(file.Deploy) == 0 {
		return &ui.Problem{Summary: file.Path + " has no deploy commands", Hint: "list them under deploy"}
	}
	variables, err := encodeVariables(o.Variables)
	if err != nil {
		return err
	}
	skip := false
	err = o.hold(ctx, turn{
		name: name, files: files, variables: o.Variables, commands: file.Deploy, end: Deployed,
		begin: func(r *Record, exists bool) (bool, error) {
			if skip = o.SkipIfExists && exists && r.Status == Deployed; skip {
				return false, nil // another run has deployed it meanwhile
			}
			r.Status, r.destroyed, r.variables = Progressing, 0, variables
			r.Repository, r.Branch, r.Commit, r.cloned = files.repository, files.branch, files.commit, files.cloned
			r.File, r.Icon, r.Devs, r.yaml = file.Path, file.Icon, file.Devs, file.Content
			return true, nil
		},
		work: func(ctx context.Context, s *session) error { return o.work(ctx, s, file) },
	})
	if err == nil && skip {
		return skipped(o.Streams, name, nil)
	}
	return err
}

func (o *DeployOptions) work(ctx context.Context, s *session, file *File) error {
	if err := s.shell.run(ctx, file.Deploy, 0, func(int) error { return nil }); err != nil {
		return err
	}
	if o.Wait {
		if err := o.waitAvailable(ctx, s); err != nil {
			return err
		}
	}
	o.done(s.name, file)
	return nil
}

func (o *DeployOptions) done(name string, file *File) {
	fmt.Fprintf(o.Streams.ErrOut, "pipeline %s is deployed in namespace %s\n", name, o.Client.Namespace)
	for _, dev := range file.Devs {
		fmt.Fprintf(o.Streams.ErrOut, "  develop with: okteto up -f %s\n", dev)
	}
}

// explain turns the end of a run into what the user should read.
func (o *Options) explain(ctx context.Context, name string, err error) error {
	var timeout *timeoutError
	problem := (*ui.Problem)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return err
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(o.Streams.ErrOut, "interrupted")
		return &ui.ExitError{Code: ui.InterruptCode(ctx)}
	case errors.Is(err, errLost):
		return &ui.Problem{Summary: "another run took pipeline " + name + " over, since this one was not heard of for too long", Hint: "see okteto pipeline status " + name, Cause: err}
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded) && errors.As(context.Cause(ctx), &timeout):
		return &ui.Problem{Summary: fmt.Sprintf("pipeline %s was not done within %s", name, o.Timeout), Hint: "allow more with --timeout; 0 is no limit", Cause: err}
	}
	return show(o.Streams, err)
}
