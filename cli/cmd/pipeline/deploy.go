package pipeline

import (
	"github.com/spf13/cobra"

	"okteto/cli/pipeline"
	"okteto/cli/ui"
)

func newDeploy(streams ui.Streams) *cobra.Command {
	var f struct {
		common
		wait, skip bool
	}
	cmd := &cobra.Command{
		Use:   "deploy [NAME]",
		Short: "Run the deploy commands of a repository's pipeline file",
		Long: `Run the deploy commands of okteto-pipeline.yml, in order, on this machine. The
first that fails ends the deploy with its exit code.

What the commands create in the cluster is marked, so that okteto pipeline
destroy finds it. They see OKTETO_GIT_COMMIT, OKTETO_GIT_BRANCH,
OKTETO_NAMESPACE, OKTETO_REGISTRY_URL and the variables of -v.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, variables, err := f.options(streams, args)
			if err != nil {
				return err
			}
			return pipeline.Deploy(cmd.Context(), pipeline.DeployOptions{
				Options: options, Variables: variables, Wait: f.wait, SkipIfExists: f.skip,
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "wait until what was deployed is available")
	cmd.Flags().BoolVar(&f.skip, "skip-if-exists", false, "do nothing when the pipeline is deployed already")
	return cmd
}
