package up

import (
	"context"
	"errors"

	"okteto/cli/build"
	"okteto/cli/manifest"
	"okteto/cli/ui"
	"okteto/cli/up"
)

// image makes the image's name a full one, or builds it and takes its digest.
func image(ctx context.Context, o *up.Options, builds bool) error {
	t := o.Target
	var err error
	if builds {
		err = buildImage(ctx, o)
	} else {
		t.Dev.Image, err = build.Expand(t.Dev.Image, t.Client.Namespace)
	}
	for i := range t.Dev.Services {
		if err != nil {
			return err
		}
		t.Dev.Services[i].Image, err = build.Expand(t.Dev.Services[i].Image, t.Client.Namespace)
	}
	return err
}

func buildImage(ctx context.Context, o *up.Options) error {
	t := o.Target
	if !t.Dev.ImageBuild.Builds {
		return &ui.Problem{
			Summary: "the manifest does not say how the image of " + t.Dev.Name + " is built",
			Hint:    "write image as a mapping, such as image: {name: okteto.dev/" + t.Dev.Name + ", context: .}\nor leave out --build",
		}
	}
	if o.DryRun {
		return &ui.Problem{Summary: "a dry run changes nothing, and cannot build", Hint: "leave out --build or --dry-run"}
	}
	if err := o.Validate(); err != nil {
		return err
	}
	options, err := buildOptions(o)
	if err != nil {
		return err
	}
	// A step is a line that is drawn again and again; BuildKit's display, which
	// only a foreground shows, would be written into it.
	announce := o.Report.Note
	if o.Detached {
		announce = o.Report.Step
	}
	announce("Building %s", options.Tags[0])
	result, err := build.Run(ctx, options)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return &ui.ExitError{Code: ui.InterruptCode(ctx)}
	}
	if err != nil {
		return err
	}
	t.Dev.Image = result.Ref
	o.Report.Done("Built %s", result.Ref)
	return nil
}

func buildOptions(o *up.Options) (build.Options, error) {
	dev := o.Target.Dev
	file, err := dev.ImageBuild.File()
	if err != nil {
		return build.Options{}, err
	}
	return build.Options{
		Context: dev.ImageBuild.Context, File: file, Target: dev.ImageBuild.Target,
		Tags: []string{dev.BuildName()}, BuildArgs: arguments(dev.ImageBuild.Args), CacheFrom: dev.ImageBuild.CacheFrom,
		// The display of a terminal and up's own lines do not go together.
		Progress:  "plain",
		Namespace: o.Target.Client.Namespace, Client: o.Target.Client, Streams: o.Streams,
	}, nil
}

// arguments as docker build takes them.
func arguments(args manifest.Environment) []string {
	var all []string
	for _, a := range args {
		all = append(all, a.Name+"="+a.Value)
	}
	return all
}
