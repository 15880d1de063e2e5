// Package namespace is `okteto namespace`: which namespace the current context of
// the kubeconfig uses, and what there is to choose from.
package namespace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/tools/clientcmd"

	"okteto/cli/kube"
	"okteto/cli/manifest"
	"okteto/cli/ui"
)

type flags struct {
	context, output string
	yes             bool
}

// NewCommand returns `okteto namespace` with its subcommands.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "namespace [NAME]",
		Aliases: []string{"ns"},
		Short:   "Show or choose the namespace of the current context",
		Long: `Without a name, shows the namespace that okteto works in: that of the kubeconfig's
current context. With one, it becomes the context's namespace, for kubectl too.`,
		Example: `  okteto namespace
  okteto namespace payments-ann
  okteto namespace list`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return show(streams, f)
			}
			return use(cmd.Context(), streams, f, args[0])
		},
	}
	set := cmd.PersistentFlags()
	set.StringVarP(&f.context, "context", "c", "", "context of the kubeconfig (default $OKTETO_CONTEXT, the current one)")
	set.StringVarP(&f.output, "output", "o", "", `"json" for scripts`)
	cmd.AddCommand(
		&cobra.Command{
			Use: "use NAME", Short: "Make a namespace the context's own", Args: cobra.ExactArgs(1),
			RunE:              func(cmd *cobra.Command, args []string) error { return use(cmd.Context(), streams, f, args[0]) },
			ValidArgsFunction: f.complete,
		},
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List the namespaces of the cluster", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return list(cmd.Context(), streams, f) },
		},
		&cobra.Command{
			Use: "create NAME", Short: "Create a namespace and make it the context's own", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return create(cmd.Context(), streams, f, args[0]) },
		},
		deleteCommand(streams, &f),
	)
	cmd.ValidArgsFunction = f.complete
	return cmd
}

func deleteCommand(streams ui.Streams, f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a namespace with everything in it", Args: cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return remove(cmd.Context(), streams, *f, args[0]) },
		ValidArgsFunction: f.complete,
	}
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return cmd
}

// client connects without a namespace of the environment's: the commands are
// about the kubeconfig's own.
func (f flags) client() (*kube.Client, error) {
	if f.output != "" && f.output != "json" {
		return nil, &ui.Problem{Summary: fmt.Sprintf("unknown output format %q", f.output), Hint: "the only one is: json"}
	}
	return kube.Load(kube.Options{Context: f.context})
}

func show(streams ui.Streams, f flags) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	if f.output == "json" {
		return json.NewEncoder(streams.Out).Encode(map[string]string{"namespace": client.Namespace, "context": client.Context})
	}
	_, err = fmt.Fprintln(streams.Out, client.Namespace)
	return err
}

// use writes the kubeconfig, which kubectl reads too.
func use(ctx context.Context, streams ui.Streams, f flags, name string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	_, err = client.Clientset.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &ui.Problem{
			Summary: fmt.Sprintf("namespace %q does not exist in context %q", name, client.Context),
			Hint:    similar(ctx, client, name) + "create it: okteto namespace create " + name, Cause: err,
		}
	}
	if err != nil && !apierrors.IsForbidden(err) {
		return client.Explain(err, "look up namespace "+name)
	}
	if err := setNamespace(client.Context, name); err != nil {
		return err
	}
	return report(streams, f, client.Context, name, "context %s now uses namespace %s\n")
}

func report(streams ui.Streams, f flags, kubeContext, name, text string) error {
	if f.output == "json" {
		return json.NewEncoder(streams.Out).Encode(map[string]string{"namespace": name, "context": kubeContext})
	}
	_, err := fmt.Fprintf(streams.Out, text, kubeContext, name)
	return err
}

// setNamespace changes one context in the file of the kubeconfig that has it.
func setNamespace(kubeContext, name string) error {
	access := clientcmd.NewDefaultPathOptions()
	config, err := access.GetStartingConfig()
	if err != nil {
		return &ui.Problem{Summary: "cannot read the kubeconfig", Cause: err}
	}
	entry, ok := config.Contexts[kubeContext]
	if !ok {
		return &ui.Problem{
			Summary: "there is no context to change in the kubeconfig",
			Hint:    "outside of a kubeconfig (in a pod) use the flag -n, or OKTETO_NAMESPACE",
		}
	}
	if entry.Namespace == name {
		return nil
	}
	entry.Namespace = name
	if err := clientcmd.ModifyConfig(access, *config, true); err != nil {
		return &ui.Problem{
			Summary: "cannot write the kubeconfig", Cause: err,
			Hint: "make it writable, or use the flag -n, or OKTETO_NAMESPACE",
		}
	}
	return nil
}

func similar(ctx context.Context, client *kube.Client, name string) string {
	all, err := client.Clientset.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "" // the hint is only better with it
	}
	var known []string
	for _, n := range all.Items {
		known = append(known, n.Name)
	}
	if guess := manifest.Suggest(name, known); guess != "" {
		return "did you mean " + guess + "?\n"
	}
	return ""
}

type entry struct {
	Name    string    `json:"name"`
	Status  string    `json:"status"`
	Created time.Time `json:"created"`
	Current bool      `json:"current"`
}

func list(ctx context.Context, streams ui.Streams, f flags) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	all, err := client.Clientset.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return client.Explain(err, "list the namespaces of the cluster")
	}
	entries := []entry{}
	for _, n := range all.Items {
		entries = append(entries, entry{n.Name, string(n.Status.Phase), n.CreationTimestamp.Time, n.Name == client.Namespace})
	}
	if f.output == "json" {
		return json.NewEncoder(streams.Out).Encode(entries)
	}
	table := tabwriter.NewWriter(streams.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\tNAME\tSTATUS\tAGE")
	for _, e := range entries {
		mark := ""
		if e.Current {
			mark = "*"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark, e.Name, e.Status, duration.HumanDuration(time.Since(e.Created)))
	}
	return table.Flush()
}

func create(ctx context.Context, streams ui.Streams, f flags, name string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	_, err = client.Clientset.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return &ui.Problem{Summary: fmt.Sprintf("namespace %q exists already", name), Hint: "choose it: okteto namespace use " + name, Cause: err}
	case apierrors.IsInvalid(err):
		return &ui.Problem{
			Summary: fmt.Sprintf("%q is not a name of a namespace", name), Cause: err,
			Hint: "use at most 63 lower-case letters, digits and dashes",
		}
	case err != nil:
		return client.Explain(err, "create namespace "+name)
	}
	if err := setNamespace(client.Context, name); err != nil {
		return err
	}
	return report(streams, f, client.Context, name, "context %s now uses the new namespace %s\n")
}

// remove asks for the name, since everything in it goes with it.
func remove(ctx context.Context, streams ui.Streams, f flags, name string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	namespaces := client.Clientset.CoreV1().Namespaces()
	if _, err := namespaces.Get(ctx, name, metav1.GetOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return &ui.Problem{Summary: fmt.Sprintf("namespace %q does not exist in context %q", name, client.Context), Cause: err}
		}
		return client.Explain(err, "look up namespace "+name)
	}
	if !f.yes {
		if err := confirm(ctx, streams, client.Context, name); err != nil {
			return err
		}
	}
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return client.Explain(err, "delete namespace "+name)
	}
	if name == client.Namespace {
		fmt.Fprintf(streams.ErrOut, "context %s still uses it; choose another one: okteto namespace use NAME\n", client.Context)
	}
	return report(streams, f, client.Context, name, "context %s: namespace %s is being deleted\n")
}

func confirm(ctx context.Context, streams ui.Streams, kubeContext, name string) error {
	answer, err := ui.Ask(ctx, streams, fmt.Sprintf("Everything in namespace %s of context %s will be deleted, volumes included.\nType its name to confirm: ", name, kubeContext))
	switch {
	case errors.Is(err, ui.ErrNobody):
		return &ui.Problem{
			Summary: fmt.Sprintf("not deleting namespace %q without confirmation", name),
			Hint:    "where nobody can be asked, confirm with --yes",
		}
	case ctx.Err() != nil:
		return &ui.Problem{Summary: "nothing was deleted", Cause: err, Code: ui.InterruptCode(ctx)}
	case err != nil:
		return err
	case answer != name:
		return &ui.Problem{Summary: "nothing was deleted: that is not the name"}
	}
	return nil
}

// complete completes the name of a namespace.
func (f *flags) complete(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := f.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := client.Clientset.CoreV1().Namespaces().List(cmd.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range all.Items {
		if strings.HasPrefix(n.Name, prefix) {
			names = append(names, n.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
