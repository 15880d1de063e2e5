package pipeline

import (
	"github.com/spf13/cobra"

	"okteto/cli/pipeline"
	"okteto/cli/ui"
)

func newDestroy(streams ui.Streams) *cobra.Command {
	var f struct {
		common
		wait, volumes, skip bool
	}
	cmd := &cobra.Command{
		Use:   "destroy [NAME]",
		Short: "Remove what a pipeline deployed",
		Long: `Run the destroy commands of the pipeline file, uninstall the helm releases that
the pipeline installed, and delete whatever else it created. Volumes stay unless
--volumes is given. An interrupted destroy goes on where it stopped when it is
run again.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, variables, err := f.options(streams, args)
			if err != nil {
				return err
			}
			return pipeline.Destroy(cmd.Context(), pipeline.DestroyOptions{
				Options: options, Variables: variables, Volumes: f.volumes, SkipCommands: f.skip,
			})
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.volumes, "volumes", false, "delete the volumes too, with the data on them")
	flags.BoolVar(&f.skip, "skip-commands", false, "do not run the file's destroy commands")
	flags.BoolVarP(&f.wait, "wait", "w", false, "")
	_ = flags.MarkHidden("wait") // the original has it; a destroy always waits
	return cmd
}
