package root

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"okteto/cli/ui"
)

// Every command, with every one of its flags, is in a script that runs it, here or
// in the tests with a cluster: a new flag without one fails here.
func TestEveryFlagIsInAScript(t *testing.T) {
	root := newCommand(ui.Streams{})
	root.InitDefaultCompletionCmd()
	used := map[string]bool{}
	for _, line := range scriptLines(t, "../../..") {
		cmd, args, err := root.Find(line)
		if err != nil {
			continue // a command that does not exist, and says so
		}
		used[cmd.CommandPath()] = true
		for _, arg := range args {
			if arg == "--" {
				break
			}
			if flag := lookUp(cmd, arg); flag != nil {
				used[cmd.CommandPath()+" --"+flag.Name] = true
			}
		}
	}
	var missing []string
	walk(root, func(cmd *cobra.Command) {
		if !used[cmd.CommandPath()] && cmd.Parent() != nil && cmd.Parent().Name() != "completion" {
			missing = append(missing, cmd.CommandPath())
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			name := cmd.CommandPath() + " --" + flag.Name
			if !flag.Hidden && flag.Name != "help" && !used[name] && cmd.Parent() != nil && cmd.Parent().Name() != "completion" {
				missing = append(missing, name)
			}
		})
	})
	if missing != nil {
		t.Errorf("in no script:\n%s", strings.Join(missing, "\n"))
	}
}

// walk visits the commands that a user can run.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	if cmd.Runnable() {
		visit(cmd)
	}
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

func lookUp(cmd *cobra.Command, arg string) *pflag.Flag {
	name, _, _ := strings.Cut(arg, "=")
	switch {
	case strings.HasPrefix(name, "--"):
		return cmd.Flags().Lookup(name[2:])
	case len(name) == 2 && name[0] == '-':
		return cmd.Flags().ShorthandLookup(name[1:])
	}
	return nil
}

// scriptLines are the arguments of okteto in all scripts below dir.
func scriptLines(t *testing.T, dir string) (lines [][]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".txtar" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			if strings.HasPrefix(line, "-- ") {
				break // the script's files
			}
			words := strings.Fields(strings.ReplaceAll(line, "'", " "))
			if i := slices.Index(words, "okteto"); i >= 0 && !strings.HasPrefix(line, "#") {
				lines = append(lines, words[i+1:])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
