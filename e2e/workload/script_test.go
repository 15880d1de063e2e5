//go:build e2e

package workload

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"

	"okteto/cli/cmd/cmdtest"
	"okteto/cli/cmd/down"
	"okteto/cli/cmd/initcmd"
	"okteto/cli/cmd/namespace"
	"okteto/e2e/harness"
)

func TestMain(m *testing.M) {
	// What the API server warns about is in the results already.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	cmdtest.Main(m, down.NewCommand, initcmd.NewCommand, namespace.NewCommand)
}

// TestScripts runs the scripts of testdata. Each has a namespace, $NAMESPACE,
// and a kubeconfig of its own whose current context uses it; kubectl is the one
// of the cluster's tools.
func TestScripts(t *testing.T) {
	cluster, err := harness.Connect()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			name := "e2e-script-" + strings.ToLower(filepath.Base(e.WorkDir)[len("script-"):]) + "-" + suffix()
			if err := cluster.CreateNamespace(context.Background(), name, nil); err != nil {
				return err
			}
			e.Defer(func() {
				if err := cluster.DeleteNamespace(context.Background(), name); err != nil {
					t.Log(err)
				}
			})
			content, err := os.ReadFile(cluster.Kubeconfig)
			if err != nil {
				return err
			}
			config := filepath.Join(e.WorkDir, "kubeconfig")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("KUBECONFIG", config)
			e.Setenv("NAMESPACE", name)
			e.Setenv("PATH", filepath.Join(cluster.Root, ".cluster", "bin")+string(os.PathListSeparator)+e.Getenv("PATH"))
			return os.WriteFile(config, content, 0o600)
		},
	})
}
