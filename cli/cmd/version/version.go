// Package version is `okteto version`.
package version

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

type flags struct{ output string }

// NewCommand returns `okteto version`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return run(streams, f) },
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	return cmd
}

func run(streams ui.Streams, f flags) error {
	switch f.output {
	case "":
		_, err := fmt.Fprintf(streams.Out, "okteto version %s (%s/%s, %s)\n",
			contract.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
		return err
	case "json":
		return json.NewEncoder(streams.Out).Encode(map[string]string{
			"version": contract.Version, "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version(),
		})
	}
	return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
}
