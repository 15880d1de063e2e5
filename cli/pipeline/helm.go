package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"okteto/cli/ui"
)

// release of Helm, with the driver that keeps it.
type release struct{ namespace, name, driver string }

// releases are those whose every revision is marked: Helm keeps each revision in
// a Secret, or a ConfigMap if HELM_DRIVER says so, with the labels owner and
// name.
func releases(items []item) []release {
	var result []release
	for _, i := range items {
		if i.gvr.Group != "" || i.Labels["owner"] != "helm" || i.Labels["name"] == "" {
			continue
		}
		driver := map[string]string{"secrets": "secret", "configmaps": "configmap"}[i.gvr.Resource]
		if r := (release{i.Namespace, i.Labels["name"], driver}); driver != "" && !slices.Contains(result, r) {
			result = append(result, r)
		}
	}
	return result
}

func checkHelm(found []release) error {
	if len(found) == 0 {
		return nil
	}
	if _, err := exec.LookPath("helm"); err != nil {
		names := make([]string, 0, len(found))
		for _, r := range found {
			names = append(names, r.name)
		}
		return missing("helm", "uninstall "+strings.Join(names, ", "), err)
	}
	return nil
}

// uninstall lets helm remove a release, with its hooks.
func uninstall(ctx context.Context, r release, env []string) error {
	cmd := exec.CommandContext(ctx, "helm", "uninstall", r.name, "--namespace", r.namespace)
	cmd.Env = append(slices.Clone(env), "HELM_DRIVER="+r.driver)
	g := newGroup(cmd)
	cmd.Cancel = func() error { g.terminate(); return nil }
	cmd.WaitDelay = stopGrace
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &ui.Problem{
			Summary: fmt.Sprintf("helm cannot uninstall release %s of namespace %s", r.name, r.namespace),
			Detail:  strings.TrimSpace(output.String()),
			Hint:    "correct that and run the command again; it goes on where it stopped",
			Cause:   err,
		}
	}
	return nil
}
