package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"okteto/cli/pipeline"
	"okteto/cli/ui"
)

func newList(streams ui.Streams) *cobra.Command {
	var f struct {
		place
		output string
	}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the pipelines of a namespace",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			client, err := f.load()
			if err != nil {
				return err
			}
			if err := client.CheckNamespace(cmd.Context()); err != nil {
				return err
			}
			records, err := pipeline.List(cmd.Context(), client)
			if err != nil {
				return err
			}
			if f.output == "json" {
				return encode(streams.Out, records)
			}
			return table(streams.Out, records)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	return cmd
}

func table(w io.Writer, records []*pipeline.Record) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATUS\tREPOSITORY\tBRANCH\tCOMMIT\tSTARTED")
	for _, r := range records {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Status, dash(r.Repository), dash(r.Branch), dash(short(r.Commit)), moment(r.Started))
	}
	return t.Flush()
}

func newStatus(streams ui.Streams) *cobra.Command {
	var f struct {
		place
		name, output string
	}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how a pipeline stands, and the end of its log",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			if len(args) > 0 {
				f.name = args[0]
			}
			client, err := f.load()
			if err != nil {
				return err
			}
			name, err := (&pipeline.Options{Name: f.name}).PipelineName()
			if err != nil {
				return err
			}
			r, err := pipeline.Get(cmd.Context(), client, name)
			if err != nil {
				return err
			}
			if r == nil {
				return &ui.Problem{
					Summary: fmt.Sprintf("there is no pipeline %s in namespace %s", name, client.Namespace),
					Hint:    "see which there are: okteto pipeline list",
				}
			}
			if f.output == "json" {
				return encode(streams.Out, r)
			}
			return show(streams.Out, r)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&f.name, "name", "p", "", "name of the pipeline (default: that of the folder)")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	return cmd
}

func show(w io.Writer, r *pipeline.Record) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", name, value)
		}
	}
	line("Name", r.Name)
	line("Namespace", r.Namespace)
	line("Status", string(r.Status))
	line("Message", r.Message)
	line("By", r.Holder)
	line("Repository", r.Repository)
	line("Branch", r.Branch)
	line("Commit", r.Commit)
	line("File", r.File)
	for _, v := range r.Variables {
		line("Variable", v.Name+"="+v.Value)
	}
	line("Develop", strings.Join(r.Devs, ", "))
	line("Started", moment(r.Started))
	if !r.Finished.IsZero() {
		line("Finished", moment(r.Finished))
	}
	if err := t.Flush(); err != nil || r.Log == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.TrimRight(r.Log, "\n"))
	return err
}

func checkOutput(output string) error {
	if output == "" || output == "json" {
		return nil
	}
	return &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", output), Hint: "the only one is: json"}
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func short(commit string) string { return commit[:min(len(commit), 8)] }

func moment(t time.Time) string { return t.Local().Format(time.DateTime) }
