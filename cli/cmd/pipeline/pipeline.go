// Package pipeline is `okteto pipeline`: deploy a repository by its
// okteto-pipeline.yml, destroy what came of it, and see how it stands.
package pipeline

import (
	"time"

	"github.com/spf13/cobra"

	"okteto/cli/kube"
	"okteto/cli/pipeline"
	"okteto/cli/ui"
)

// NewCommand returns `okteto pipeline` with its subcommands.
func NewCommand(streams ui.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pipeline",
		Short: "Deploy a repository by its okteto-pipeline.yml, and remove it again",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeploy(streams), newDestroy(streams), newList(streams), newStatus(streams))
	return cmd
}

// place are the flags that say which cluster and namespace.
type place struct{ context, namespace string }

func (p *place) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.context, "context", "c", "", "context of the kubeconfig")
	cmd.Flags().StringVarP(&p.namespace, "namespace", "n", "", "namespace of the pipeline")
}

func (p *place) load() (*kube.Client, error) {
	return kube.Load(kube.Options{Context: p.context, Namespace: p.namespace})
}

// common are the flags of deploy and destroy.
type common struct {
	place
	name, file, repository, branch string
	variables                      []string
	timeout                        time.Duration
}

func (f *common) add(cmd *cobra.Command) {
	f.place.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.name, "name", "p", "", "name of the pipeline (default: that of the repository or the folder)")
	flags.StringVarP(&f.file, "file", "f", "", "pipeline file, relative to the repository (default okteto-pipeline.yml)")
	flags.StringVar(&f.file, "filename", "", "")
	_ = flags.MarkHidden("filename") // the original's name for it; it exists
	flags.StringVarP(&f.repository, "repository", "r", "", "repository to clone (default: the current folder as it is)")
	flags.StringVarP(&f.branch, "branch", "b", "", "branch or tag to clone")
	flags.StringArrayVarP(&f.variables, "var", "v", nil, "variable for the commands, NAME=value, or NAME for its value in the environment (repeatable)")
	flags.DurationVarP(&f.timeout, "timeout", "t", pipeline.DefaultTimeout, "how long it may take; 0 is no limit")
}

func (f *common) options(streams ui.Streams, args []string) (pipeline.Options, []pipeline.Variable, error) {
	if len(args) > 0 {
		f.name = args[0]
	}
	variables, err := pipeline.ParseVariables(f.variables)
	if err != nil {
		return pipeline.Options{}, nil, err
	}
	client, err := f.load()
	if err != nil {
		return pipeline.Options{}, nil, err
	}
	return pipeline.Options{
		Source: pipeline.Source{Repository: f.repository, Branch: f.branch, File: f.file},
		Name:   f.name, Timeout: f.timeout, Client: client, Streams: streams,
	}, variables, nil
}
