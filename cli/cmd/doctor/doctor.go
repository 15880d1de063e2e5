// Package doctor is `okteto doctor`.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"okteto/cli/doctor"
	"okteto/cli/target"
	"okteto/cli/ui"
)

type flags struct {
	target.Flags
	output string
	bundle string
}

// NewCommand returns `okteto doctor`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "doctor [NAME]",
		Short: "Look for what keeps okteto from working, and say what to do",
		Long: `Looks at the laptop, the cluster, and what is between them, changes nothing, and
says what to do about each thing it finds.

The exit code is 0 unless something has failed.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return run(cmd, streams, f, name)
		},
	}
	set := cmd.Flags()
	f.Add(set)
	set.StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	set.StringVar(&f.bundle, "bundle", "", "also write a .tar.gz of the result and the logs, without secrets, to send to somebody")
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func run(cmd *cobra.Command, streams ui.Streams, f flags, name string) error {
	if f.output != "" && f.output != "json" {
		return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
	}
	t, err := f.Resolve(name)
	if err != nil {
		return err
	}
	checks := []doctor.Check{}
	failures := 0
	err = doctor.Run(cmd.Context(), t, func(c doctor.Check) {
		checks = append(checks, c)
		if c.Result == doctor.Failure {
			failures++
		}
		if f.output == "" {
			show(streams.Out, c)
		}
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(checks); err != nil {
			return err
		}
	}
	if f.bundle != "" {
		if err := bundle(cmd, t, checks, f.bundle); err != nil {
			return err
		}
		fmt.Fprintf(streams.ErrOut, "wrote %s\n", f.bundle)
	}
	if failures > 0 {
		return &ui.ExitError{Code: 1}
	}
	return nil
}

func bundle(cmd *cobra.Command, t *target.Target, checks []doctor.Check, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &ui.Problem{Summary: "cannot write the bundle", Cause: err, Hint: "choose a file that does not exist yet"}
	}
	if err := doctor.Bundle(cmd.Context(), t, checks, file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func show(w io.Writer, c doctor.Check) {
	mark := map[doctor.Result]string{doctor.OK: "✓", doctor.Warning: "!", doctor.Failure: "✗", doctor.Skipped: "-"}[c.Result]
	ui.Paragraph(w, fmt.Sprintf("%s %-18s", mark, c.Name), c.Detail)
	if c.Fix != "" {
		ui.Paragraph(w, fmt.Sprintf("  %-18s", ""), "fix: "+c.Fix)
	}
}
