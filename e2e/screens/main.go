// Command screens runs okteto on the cluster and writes what it really prints to
// docs/screens.md, so that the documentation cannot show what is not so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

const namespace = "shop"

const head = `<!-- Written by "make screens": do not edit. -->
# What it looks like

Captured from a run on the cluster of this repository's tests.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "screens:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	cluster, err := harness.Connect()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "okteto-screens-")
	if err != nil {
		return fmt.Errorf("make a folder for the project: %w", err)
	}
	defer os.RemoveAll(folder)
	cli, sample, err := cluster.FreshSample(ctx, folder, namespace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.DeleteNamespace(context.WithoutCancel(ctx), namespace)) }()
	var page strings.Builder
	page.WriteString(head)
	shown := strings.NewReplacer(
		cli.Dir, "~/api", cli.Home, "~", cluster.Root+"/", "",
		fmt.Sprint(sample.Port), "8080",
	)
	screen := func(title string, code int, args ...string) error {
		result, err := cli.Run(ctx, nil, args...)
		if err == nil && result.Code != code {
			err = fmt.Errorf("okteto %s: exit code %d, want %d: %s", strings.Join(args, " "), result.Code, code, result.Stderr)
		}
		if err != nil {
			return err
		}
		text := strings.TrimRight(shown.Replace(result.Stdout+result.Stderr), "\n ")
		fmt.Fprintf(&page, "\n## %s\n\n```console\n$ okteto %s\n%s\n```\n", title, strings.Join(args, " "), text)
		if code != 0 {
			fmt.Fprintf(&page, "\nThe exit code is %d.\n", code)
		}
		return nil
	}
	for _, step := range []func() error{
		func() error { return screen("Start", 0, "up", "--detach") },
		func() error { return screen("How it is", 0, "status") },
		func() error { return screen("A second `up`", 1, "up") },
		func() error { return screen("Looking for the reason of a problem", 0, "doctor") },
		func() error { return screen("Stop", 0, "down") },
		func() error { return sample.Rewrite(contract.ManifestFile, `(?m)^workdir:`, "wrokdir:") },
		func() error { return screen("A mistake in the manifest", 1, "up") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	path := filepath.Join(cluster.Root, "docs", "screens.md")
	if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
