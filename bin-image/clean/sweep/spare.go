package sweep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"okteto/bin-image/process"
	"okteto/internal/contract"
)

// chooser decides on one snapshot.
type chooser struct {
	table     *process.Table
	live      connections
	agents    []os.FileInfo
	container string
	spared    map[int]bool
	isAgent   map[int]bool
}

// ours says that the process is in this container: with shareProcessNamespace
// the pod's other containers can be seen, and they are none of our business. A
// process of another user cannot be told, nor could it be ended.
func (c *chooser) ours(p *process.Process) bool {
	return c.container != "" && p.MountNamespace() == c.container
}

// keeps says that the process is to be spared for its own sake.
func (c *chooser) keeps(p *process.Process) bool {
	if c.agent(p) {
		return true
	}
	if multiplexer(p) || ideServer(p) {
		return true
	}
	// Both variables are inherited, so they also mark what a session started
	// and then disowned.
	if id, ok := p.Getenv(contract.EnvTerminal); ok && id != "" {
		return true
	}
	connection, ok := p.Getenv("SSH_CONNECTION")
	return ok && c.live.has(connection)
}

// belongsToSpared says that the process descends from a spared one that passes
// its protection on. The agents and PID 1 do not: everything descends from them.
func (c *chooser) belongsToSpared(p *process.Process) bool {
	for _, up := range c.table.Ancestors(p) {
		if up.PID != 1 && !c.agent(up) && c.keeps(up) {
			return true
		}
	}
	return false
}

func (c *chooser) agent(p *process.Process) bool {
	if known, ok := c.isAgent[p.PID]; ok {
		return known
	}
	if c.isAgent == nil {
		c.isAgent = map[int]bool{}
	}
	file, err := p.ExecutableFile()
	found := false
	for _, agent := range c.agents {
		found = found || err == nil && os.SameFile(file, agent)
	}
	// An agent whose file was replaced, by a newer init image on the same
	// volume, keeps its full path.
	if !found {
		switch p.Executable() {
		case filepath.Join(contract.BinDir, contract.SupervisorBinary),
			filepath.Join(contract.BinDir, contract.RemoteBinary),
			filepath.Join(contract.BinDir, contract.SyncthingBinary):
			found = true
		}
	}
	c.isAgent[p.PID] = found
	return found
}

// isSupervisor needs agents to be the supervisor's files alone.
func (c *chooser) isSupervisor(p *process.Process) bool {
	path := p.Executable()
	if args := p.Args(); path == "" && len(args) > 0 { // where /proc/<pid>/exe cannot be read
		path = args[0]
	}
	if path == filepath.Join(contract.BinDir, contract.SupervisorBinary) {
		return true
	}
	file, err := p.ExecutableFile()
	return err == nil && slices.ContainsFunc(c.agents, func(agent os.FileInfo) bool { return os.SameFile(file, agent) })
}

// multiplexer is tmux or screen. Their servers rename themselves ("tmux: server"),
// so the program counts first.
func multiplexer(p *process.Process) bool {
	switch filepath.Base(p.Executable()) {
	case "tmux", "screen", "zellij", "abduco", "dtach":
		return true
	}
	switch p.Name {
	case "tmux: server", "tmux: client":
		return true
	}
	return false
}

// ideFolders are where the IDEs put their servers below the home directory, by
// the whole name of the folder.
var ideFolders = map[string]bool{
	".vscode-server":          true,
	".vscode-server-insiders": true,
	".vscode-server-oss":      true,
	".vscode-remote":          true,
	".vscodium-server":        true,
	".cursor-server":          true,
	".windsurf-server":        true,
	".positron-server":        true,
	".trae-server":            true,
	".zed_server":             true,
	".zed_wsl_server":         true,
	".fleet":                  true,
	"RemoteDev":               true, // JetBrains: ~/.cache/JetBrains/RemoteDev
}

// ideServer says that the program or its script is part of an IDE's server.
func ideServer(p *process.Process) bool {
	paths := []string{p.Executable()}
	// Interpreters (node, java, sh) run the server from their first arguments.
	args := p.Args()
	paths = append(paths, args[:min(len(args), 3)]...)
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") {
			continue
		}
		for part := range strings.SplitSeq(path, "/") {
			if ideFolders[part] {
				return true
			}
		}
	}
	return false
}
