package initcmd

import (
	"testing"

	"okteto/cli/cmd/cmdtest"
)

func TestMain(m *testing.M) { cmdtest.Main(m, NewCommand) }

func TestScripts(t *testing.T) { cmdtest.Run(t, "KUBECONFIG=/nonexistent") }
