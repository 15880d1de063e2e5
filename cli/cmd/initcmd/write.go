package initcmd

import (
	"fmt"
	"strings"

	"okteto/cli/manifest"
	"okteto/cli/stack"
	"okteto/cli/workload"
)

// defaultWorkdir when neither the workload nor anything else names one.
const defaultWorkdir = "/usr/src/app"

// compose writes a first manifest as a person would: what is needed, and a
// comment on each line that explains itself by nothing else. looked says that
// the cluster was asked for the workload.
func compose(name string, w *workload.Workload, looked bool, s *stack.Stack) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What `okteto up` changes in the workload while you develop in it.")
	line("# All fields: docs/manifest.md, or okteto validate --schema")
	if !looked {
		line("# The name of the Deployment or StatefulSet; no cluster was there to look it up.")
	}
	line("name: %s", name)
	if w != nil && w.Kind() == manifest.StatefulSet {
		line("k8sObjectType: StatefulSet")
	}
	if w == nil && looked {
		line("# No workload of that name was found: up would create this environment.")
		line("autocreate: true")
	}
	container := 0
	if w != nil && len(w.Template().Spec.Containers) > 1 {
		line("container: %s", w.Template().Spec.Containers[container].Name)
	}
	switch {
	case s != nil:
		line("# %s, with its tools. Without this line the workload's own image is used.", s.Name)
		line("image: %s", s.Image)
	case w == nil && looked:
		line("# Any image with the tools that you need.")
		line("image: debian:stable")
	}
	command, workdir := "sh", defaultWorkdir
	if s != nil {
		command = s.Command
	}
	if w != nil && w.Template().Spec.Containers[container].WorkingDir != "" && w.Template().Spec.Containers[container].WorkingDir != "/" {
		workdir = w.Template().Spec.Containers[container].WorkingDir
	}
	line("command: %s", command)
	line("workdir: %s", workdir)
	line("sync:")
	line("  - .:%s", workdir)
	ports(line, w, container, s)
	if s != nil && s.Cache != "" {
		line("# Kept on the environment's volume, from one up to the next.")
		line("volumes:")
		line("  - %s", s.Cache)
	}
	return b.String()
}

// ports forwards those of the container, and leads a debugger to the laptop.
func ports(line func(string, ...any), w *workload.Workload, container int, s *stack.Stack) {
	var found []int
	if w != nil {
		for _, p := range w.Template().Spec.Containers[container].Ports {
			if p.Protocol == "" || p.Protocol == "TCP" {
				found = append(found, int(p.ContainerPort))
			}
		}
	}
	if len(found) == 0 && s != nil {
		found = append(found, s.Port)
	}
	if s != nil && s.Debug != 0 {
		found = append(found, s.Debug)
	}
	if len(found) == 0 {
		return
	}
	line("forward:")
	used := map[int]bool{}
	for _, port := range found {
		local := port
		if local < 1024 {
			local += 8000 // 80 is 8080, and needs no privileges
		}
		if !used[local] {
			line("  - %d:%d", local, port)
		}
		used[local] = true
	}
}
