// Package build is `okteto build`.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"okteto/cli/build"
	"okteto/cli/build/builder"
	"okteto/cli/kube"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// outputJSON as the value of --output is the form of the result, not of the
// image.
const outputJSON = "json"

type flags struct {
	options            build.Options
	context, namespace string
	prune              bool
}

// NewCommand returns `okteto build`.
func NewCommand(streams ui.Streams) *cobra.Command {
	f := flags{options: build.Options{Streams: streams}}
	cmd := &cobra.Command{
		Use:   "build [PATH]",
		Short: "Build an image with BuildKit, and push it",
		Long: `Build the image of a Dockerfile, as docker build does. With -t it is pushed, and
its name with the digest is printed.

The builder is the one that BUILDKIT_HOST names, else one that runs in the
namespace: the first build starts it, and it ends after 30 idle minutes. Its cache
stays until okteto build --prune.

okteto.dev/NAME is NAME in the registry of OKTETO_REGISTRY_URL, below the
namespace. Registry credentials are those of docker login.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.options.Context = "."
			if len(args) > 0 {
				f.options.Context = args[0]
			}
			return run(cmd, streams, f)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *flags) add(cmd *cobra.Command) {
	o, flags := &f.options, cmd.Flags()
	flags.StringVarP(&o.File, "file", "f", "", "Dockerfile (default PATH/Dockerfile; - reads standard input)")
	flags.StringArrayVarP(&o.Tags, "tag", "t", nil, "name and tag to push the image as (repeatable)")
	flags.StringVar(&o.Target, "target", "", "stage of the Dockerfile to build")
	flags.BoolVar(&o.NoCache, "no-cache", false, "do not use the cache")
	flags.BoolVar(&o.Pull, "pull", false, "look for newer base images")
	flags.StringArrayVar(&o.CacheFrom, "cache-from", nil, "image or cache to start from (repeatable)")
	flags.StringArrayVar(&o.CacheTo, "cache-to", nil, "where to write the cache (default: into the pushed image)")
	flags.StringArrayVar(&o.BuildArgs, "build-arg", nil, "build argument, NAME=value or NAME (repeatable)")
	flags.StringArrayVar(&o.Labels, "label", nil, "label of the image, NAME=value (repeatable)")
	flags.StringArrayVar(&o.Secrets, "secret", nil, "secret of the build, id=NAME,src=FILE or id=NAME,env=VARIABLE (repeatable)")
	flags.StringArrayVar(&o.SSH, "ssh", nil, "SSH agent or keys of the build, default or NAME=FILE (repeatable)")
	flags.StringSliceVar(&o.Platforms, "platform", nil, "platforms to build for, such as linux/arm64")
	flags.StringVar(&o.Progress, "progress", "auto", "auto, tty, plain or json")
	flags.StringArrayVarP(&o.Outputs, "output", "o", nil, `where the result goes, such as type=local,dest=DIR; "json" prints digest and names as JSON`)
	flags.StringVar(&o.TLS.CACert, "tlscacert", "", "certificates of the authorities of BUILDKIT_HOST's builder, PEM")
	flags.StringVar(&o.TLS.Cert, "tlscert", "", "certificate to show to it, PEM")
	flags.StringVar(&o.TLS.Key, "tlskey", "", "key of that certificate, PEM")
	flags.StringVar(&o.TLS.Dir, "tlsdir", "", "folder of the three: ca.pem, cert.pem, key.pem, or ca.crt, tls.crt, tls.key")
	flags.StringVar(&o.TLS.ServerName, "tlsservername", "", "name in its certificate (default: the host of BUILDKIT_HOST)")
	flags.BoolVar(&f.prune, "prune", false, "remove the namespace's builder with its cache, and build nothing")
	flags.StringVarP(&f.context, "context", "c", "", "context of the kubeconfig")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the builder, and of okteto.dev names")
}

func run(cmd *cobra.Command, streams ui.Streams, f flags) error {
	if f.prune {
		return prune(cmd, streams, f)
	}
	asJSON := false
	var outputs []string
	for _, o := range f.options.Outputs {
		if o == outputJSON {
			asJSON = true
		} else {
			outputs = append(outputs, o)
		}
	}
	f.options.Outputs = outputs
	streamed := f.options.StreamsOutput()
	if asJSON && streamed {
		return &ui.Problem{Summary: "standard output cannot have both the result as JSON and the image", Hint: "name a file with dest=FILE, or leave out -o json"}
	}
	if err := f.options.Validate(); err != nil {
		return err
	}
	client, err := kube.Load(kube.Options{Context: f.context, Namespace: f.namespace})
	if err == nil {
		f.options.Client, f.options.Namespace = client, client.Namespace
	} else if os.Getenv(contract.EnvBuildkitHost) == "" {
		return err // without a builder of one's own, the cluster has it
	}
	result, err := build.Run(cmd.Context(), f.options)
	if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
		fmt.Fprintln(streams.ErrOut, "interrupted")
		return &ui.ExitError{Code: ui.InterruptCode(cmd.Context())}
	}
	if err != nil {
		return err
	}
	if streamed {
		streams.Out = streams.ErrOut // the image is there
	}
	return show(streams, result, asJSON, len(outputs) > 0)
}

func show(streams ui.Streams, r build.Result, asJSON, exported bool) error {
	if asJSON {
		return json.NewEncoder(streams.Out).Encode(r)
	}
	switch {
	case r.Ref != "":
		fmt.Fprintln(streams.Out, r.Ref)
	case r.Digest != "":
		fmt.Fprintln(streams.Out, r.Digest)
	case !exported:
		fmt.Fprintln(streams.ErrOut, "built, and kept in the builder's cache only; push it with -t NAME, or write it with --output")
	}
	return nil
}

func prune(cmd *cobra.Command, streams ui.Streams, f flags) error {
	client, err := kube.Load(kube.Options{Context: f.context, Namespace: f.namespace})
	if err != nil {
		return err
	}
	if err := (&builder.Builder{Client: client, Streams: streams}).Prune(cmd.Context()); err != nil {
		return err
	}
	fmt.Fprintf(streams.ErrOut, "the builder of namespace %s is gone, with its cache\n", client.Namespace)
	return nil
}
