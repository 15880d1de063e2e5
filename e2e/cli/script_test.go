//go:build e2e

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"okteto/e2e/harness"
	"okteto/internal/testkit/script"
)

// TestScripts runs the scripts of testdata with the program that users run. Each
// has a namespace, $NAMESPACE, and a kubeconfig of its own;
// kubectl is the one of the cluster's tools. What a script develops is in
// src, beside the manifest.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || files == nil {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	test := harness.New(t, nil)
	kubeconfig, err := os.ReadFile(test.CLI.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	commands := script.Commands()
	commands["okteto"] = script.Program(test.CLI.Binary)
	testscript.Run(t, testscript.Params{
		Files: []string{file},
		Cmds:  commands,
		// Kept until the cleaning up, which needs the manifest.
		WorkdirRoot: t.TempDir(),
		Setup: func(e *testscript.Env) error {
			test.CLI.Dir = e.WorkDir
			config := filepath.Join(test.CLI.Home, "kubeconfig")
			for name, value := range map[string]string{
				"HOME": test.CLI.Home, "KUBECONFIG": config,
				"NAMESPACE": test.Namespace, "OKTETO_NAMESPACE": "", "OKTETO_CONTEXT": "",
				"PATH": strings.Join([]string{
					filepath.Dir(test.CLI.Binary), filepath.Join(test.Root, ".cluster", "bin"), e.Getenv("PATH"),
				}, string(os.PathListSeparator)),
			} {
				e.Setenv(name, value)
			}
			return os.WriteFile(config, kubeconfig, 0o600)
		},
	})
}
