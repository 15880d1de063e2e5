package harness

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"

	"okteto/bin-image/process"
	"okteto/internal/contract"
)

// ErrNotLocal means that a pod's processes are not on this machine.
var ErrNotLocal = errors.New("the pod's processes are not on this machine: this needs the local kind cluster, and root")

// Agents are the processes of one development pod. The nodes are containers of
// this machine, so they are processes of it like any other.
type Agents struct {
	Supervisor *process.Process
	// Children of the supervisor, by the names of their programs.
	Children map[string]*process.Process
}

// FindAgents returns the agents of a namespace's development pods; none is no error.
func FindAgents(namespace string) ([]Agents, error) {
	table, err := process.Snapshot()
	if err != nil {
		return nil, err
	}
	var found []Agents
	for _, p := range table.All() {
		if filepath.Base(p.Executable()) != contract.SupervisorBinary {
			continue
		}
		if got, _ := p.Getenv(contract.EnvNamespace); got != namespace {
			continue
		}
		agents := Agents{Supervisor: p, Children: map[string]*process.Process{}}
		for _, child := range table.Descendants(p.PID) {
			if child.Parent == p.PID {
				agents.Children[filepath.Base(child.Executable())] = child
			}
		}
		found = append(found, agents)
	}
	return found, nil
}

// OneAgents returns the agents of the namespace's only development pod.
func OneAgents(namespace string) (Agents, error) {
	found, err := FindAgents(namespace)
	if err == nil && len(found) != 1 {
		err = ErrNotLocal
	}
	if err != nil {
		return Agents{}, err
	}
	return found[0], nil
}

// Root is the pod's root folder, as this machine sees it.
func (a Agents) Root() string {
	return filepath.Join("/proc", strconv.Itoa(a.Supervisor.PID), "root")
}

// KillAgent ends a child of the supervisor as a crash would.
func KillAgent(namespace, name string) error {
	agents, err := OneAgents(namespace)
	if err != nil {
		return err
	}
	child := agents.Children[name]
	if child == nil {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	return child.Signal(syscall.SIGKILL)
}
