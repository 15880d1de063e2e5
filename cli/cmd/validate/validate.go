// Package validate is `okteto validate`.
package validate

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"okteto/cli/manifest"
	"okteto/cli/target"
	"okteto/cli/ui"
)

type flags struct {
	file, output string
	schema       bool
}

// NewCommand returns `okteto validate`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the manifest without touching the cluster",
		Long: `Reads okteto.yml and says everything that is wrong with it, with line and column,
and whether the folders and files that it names are there. The exit code is 1 when
anything is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return run(streams, f) },
	}
	set := cmd.Flags()
	set.StringVarP(&f.file, "file", "f", "", "path of the manifest (default okteto.yml of this folder)")
	set.StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	set.BoolVar(&f.schema, "schema", false, "print the JSON schema of manifests, for editors")
	return cmd
}

// issue is manifest.Issue as scripts see it.
type issue struct {
	Path    string `json:"path"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

type result struct {
	Path         string   `json:"path,omitempty"`
	Environments []string `json:"environments"`
	Errors       []issue  `json:"errors"`
	Warnings     []issue  `json:"warnings"`
}

func run(streams ui.Streams, f flags) error {
	switch {
	case f.output != "" && f.output != "json":
		return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
	case f.schema:
		schema, err := manifest.Schema()
		if err != nil {
			return err
		}
		_, err = streams.Out.Write(schema)
		return err
	}
	m, err := check(f.file)
	var invalid *manifest.Error
	if err != nil && !errors.As(err, &invalid) {
		return target.Explain(err, f.file)
	}
	if f.output == "json" {
		if err := json.NewEncoder(streams.Out).Encode(newResult(m, invalid)); err != nil {
			return err
		}
		if invalid != nil {
			return &ui.ExitError{Code: 1}
		}
		return nil
	}
	if m != nil {
		for _, w := range m.Warnings {
			fmt.Fprintf(streams.ErrOut, "warning: %s\n", w)
		}
	}
	if invalid != nil {
		return target.Explain(invalid, f.file)
	}
	what := "environment " + m.Devs[0].Name
	if n := len(m.Devs); n > 1 {
		what = fmt.Sprintf("%d environments", n)
	}
	_, err = fmt.Fprintf(streams.Out, "%s is valid: %s\n", m.Path, what)
	return err
}

// check reads a manifest and looks for what it names. The manifest is nil when
// it cannot be read at all.
func check(path string) (*manifest.Manifest, error) {
	m, err := manifest.Load(path)
	if err != nil {
		return nil, err
	}
	all := &manifest.Error{}
	for _, dev := range m.Devs {
		var e *manifest.Error
		if errors.As(dev.CheckLocal(), &e) {
			all.Issues = append(all.Issues, e.Issues...)
		}
	}
	if len(all.Issues) > 0 {
		return m, all
	}
	return m, nil
}

func newResult(m *manifest.Manifest, invalid *manifest.Error) result {
	r := result{Environments: []string{}, Errors: []issue{}, Warnings: []issue{}}
	if m != nil {
		r.Path, r.Environments = m.Path, m.Names()
		for _, w := range m.Warnings {
			r.Warnings = append(r.Warnings, issue(w))
		}
	}
	if invalid != nil {
		for _, i := range invalid.Issues {
			r.Errors = append(r.Errors, issue(i))
		}
	}
	return r
}
