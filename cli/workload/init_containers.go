package workload

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"okteto/internal/contract"
)

// copyAgents is the contract's copy command, and a shell beside the agents for
// the container that follows: busybox, or the image's own where an init image
// has none.
const copyAgents = `cp ` + contract.ImageBinDir + `/* ` + contract.InitBinDir + ` && ` +
	`if [ -x ` + initBusybox + ` ]; then ` + initBusybox + ` ln -sf busybox ` + initShell + `; else ln -sf /bin/sh ` + initShell + `; fi`

const (
	initBusybox = contract.InitBinDir + "/busybox"
	initShell   = contract.InitBinDir + "/sh"
	// seedDir is where the init container sees the volumes it fills.
	seedDir = "/init-volume"
	// seedMark is in a folder whose copy has not come to its end.
	seedMark = ".okteto-seed"
)

// seedFunction copies what the image has at a path to an empty folder of the
// volume. A copy that was interrupted is done again; what cannot be read, or
// whose owner cannot be kept, does not keep the pod from starting.
const seedFunction = `set -u
b=` + initBusybox + `; [ -x "$b" ] || b=
seed() {
	[ -d "$1" ] || return 0
	[ -e "$2/` + seedMark + `" ] || [ -z "$($b ls -A "$2")" ] || return 0
	: >"$2/` + seedMark + `" || return 0
	$b cp -a "$1/." "$2/" || $b cp -R "$1/." "$2/" || echo "some of $1 could not be copied to its volume" >&2
	$b rm -f "$2/` + seedMark + `"
}
`

// setInitContainers puts ours first: when the agents cannot be had, nothing
// else needs to run.
func (t *translation) setInitContainers() error {
	added := []corev1.Container{t.agentsContainer()}
	if len(t.seeded) > 0 && (t.dev.InitFromImage == nil || *t.dev.InitFromImage) {
		added = append(added, t.seedContainer())
	}
	for _, c := range added {
		for _, other := range append(append([]corev1.Container{}, t.template.Spec.InitContainers...), t.template.Spec.Containers...) {
			if other.Name == c.Name {
				return fmt.Errorf("%s has a container called %s, which development mode needs: rename it", t.w, c.Name)
			}
		}
	}
	t.template.Spec.InitContainers = append(added, t.template.Spec.InitContainers...)
	return nil
}

func (t *translation) agentsContainer() corev1.Container {
	image := t.dev.InitContainer.Image
	if image == "" {
		image = orDefault(t.o.InitImage, contract.DefaultInitImage)
	}
	c := corev1.Container{
		Name: contract.InitContainer, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{"sh", "-c", copyAgents},
		VolumeMounts:    []corev1.VolumeMount{{Name: contract.BinVolume, MountPath: contract.InitBinDir}},
		SecurityContext: t.container.SecurityContext.DeepCopy(),
		Resources:       t.initResources(),
	}
	setResources(&c.Resources, t.dev.InitContainer.Resources)
	return c
}

// initResources are the development container's own: init containers run before
// it, so the pod needs no more, and quotas and limit ranges that accept it
// accept them.
func (t *translation) initResources() corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	for name, amount := range t.container.Resources.Requests {
		if !strings.Contains(string(name), "/") {
			setAmount(&r.Requests, name, amount)
		}
	}
	for name, amount := range t.container.Resources.Limits {
		if !strings.Contains(string(name), "/") {
			setAmount(&r.Limits, name, amount)
		}
	}
	return r
}

func (t *translation) seedContainer() corev1.Container {
	script := strings.Builder{}
	script.WriteString(seedFunction)
	c := corev1.Container{
		Name: contract.InitVolumeContainer, Image: t.container.Image, ImagePullPolicy: t.container.ImagePullPolicy,
		VolumeMounts:    []corev1.VolumeMount{{Name: contract.BinVolume, MountPath: contract.InitBinDir, ReadOnly: true}},
		SecurityContext: t.container.SecurityContext.DeepCopy(),
		Resources:       t.initResources(),
	}
	for i, m := range t.seeded {
		at := fmt.Sprintf("%s/%d", seedDir, i+1)
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: m.Name, MountPath: at, SubPath: m.SubPath})
		fmt.Fprintf(&script, "seed %s %s\n", quote(m.MountPath), at)
	}
	c.Command = []string{initShell, "-c", script.String()}
	return c
}

// quote makes a word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
