// Command okteto attaches a laptop to a pod: `okteto up` swaps a workload's
// container for a development container and keeps files, ports and a terminal
// connected to it.
package main

import (
	"os"

	"okteto/cli/cmd/root"
	"okteto/cli/ui"
)

func main() { os.Exit(root.Run(ui.System(), os.Args[1:])) }
