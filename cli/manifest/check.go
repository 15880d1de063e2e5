package manifest

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"okteto/internal/contract"
)

// maxNameLength leaves room for what is put around a name in the names of
// objects and volumes, which have 63 characters.
const maxNameLength = validation.DNS1123LabelMaxLength - len(contract.SecretPrefix)

// at returns a node that stands for a field's position; a field that is not
// written stands where its parent does.
func (d *decoder) at(field string) *yaml.Node {
	for {
		if p, ok := d.positions[field]; ok {
			return &yaml.Node{Line: p.line, Column: p.column}
		}
		if field == "" {
			return nil
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
}

// check finds what is wrong between fields.
func (d *decoder) check(m *Manifest) {
	ports := map[int]bool{}
	for i, f := range m.Forward {
		if ports[f.LocalPort] {
			field := fmt.Sprintf("forward[%d]", i)
			d.fail(field, d.at(field), "choose another local port", "local port %d is already used by another forward", f.LocalPort)
		}
		ports[f.LocalPort] = true
		if f.Service == "" && len(f.Labels) == 0 {
			field := fmt.Sprintf("forward[%d]", i)
			d.fail(field, d.at(field), "such as 5432:postgres:5432", "a forward outside of an environment needs a service")
		}
	}
	names := map[string]bool{}
	for _, dev := range m.Devs {
		if names[dev.Name] {
			d.fail(join(dev.field, "name"), d.at(dev.field), "", "two environments are called %s", dev.Name)
		}
		names[dev.Name] = true
		d.checkName(dev)
		d.checkPaths(dev)
		d.checkPorts(dev)
		d.checkKube(dev)
		d.checkServices(dev)
	}
}

func (d *decoder) checkName(dev *Dev) {
	field := join(dev.field, "name")
	switch {
	case dev.Name == "":
		d.fail("name", d.at(""), "add: name: "+strings.ToLower(filepath.Base(d.env.dir)), "the name of the environment is missing")
	case len(dev.Name) > maxNameLength:
		d.fail(field, d.at(field), "use a shorter name, and selector to find the workload", "the name has %d characters, at most %d fit in what it becomes part of", len(dev.Name), maxNameLength)
	case !dnsLabel.MatchString(dev.Name):
		d.fail(field, d.at(field), suggestName(dev.Name), "%q must be lower-case letters, digits and dashes", dev.Name)
	}
	if dev.Namespace != "" && !dnsLabel.MatchString(dev.Namespace) {
		field := join(dev.field, "namespace")
		d.fail(field, d.at(field), "", "%q is not a name of a namespace", dev.Namespace)
	}
	d.checkWorkdir(join(dev.field, "workdir"), dev.Workdir)
}

func (d *decoder) checkWorkdir(field, dir string) {
	if dir != "" && !path.IsAbs(dir) {
		d.fail(field, d.at(field), "write /"+dir, "must be absolute, got %q", dir)
	}
}

func suggestName(name string) string {
	clean := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if clean == "" {
		return ""
	}
	return "such as " + clean
}

// checkPaths looks for two things in one place of the container.
func (d *decoder) checkPaths(dev *Dev) {
	used := map[string]string{}
	claim := func(field, remote string) {
		if other, taken := used[remote]; taken {
			d.fail(field, d.at(field), "choose another path", "%s is already the path of %s", remote, other)
		}
		used[remote] = field
		for _, own := range []string{contract.BinDir, contract.SecretDir, contract.RemoteDir, contract.SyncthingHome, contract.BashHistoryDir} {
			if remote == own || strings.HasPrefix(remote, own+"/") || strings.HasPrefix(own, remote+"/") {
				d.fail(field, d.at(field), "choose another path", "%s overlaps %s, which okteto itself uses", remote, own)
				break
			}
		}
	}
	for i, f := range dev.Sync.Folders {
		claim(d.item(dev, "sync", i, "folders"), f.RemotePath)
	}
	for i, v := range dev.Volumes {
		claim(d.item(dev, "volumes", i), v.RemotePath)
	}
	for i, v := range dev.ExternalVolumes {
		claim(d.item(dev, "externalVolumes", i), v.MountPath)
	}
	if len(dev.Volumes) > 0 && !dev.VolumeEnabled() {
		field := join(dev.field, "volumes")
		d.fail(field, d.at(field), "remove them, or set persistentVolume.enabled: true", "volumes need the environment's volume")
	}
	bases := map[string]bool{}
	for i, s := range dev.Secrets {
		field := d.item(dev, "secrets", i)
		if base := path.Base(s.RemotePath); bases[base] {
			d.fail(field, d.at(field), "give one of them another file name", "two secrets are called %s", base)
		} else {
			bases[base] = true
		}
	}
}

// item is the field of an entry of a list, which may be one level down.
func (d *decoder) item(dev *Dev, key string, i int, below ...string) string {
	for _, b := range below {
		nested := fmt.Sprintf("%s.%s[%d]", join(dev.field, key), b, i)
		if _, ok := d.positions[nested]; ok {
			return nested
		}
	}
	return fmt.Sprintf("%s[%d]", join(dev.field, key), i)
}

func (d *decoder) checkPorts(dev *Dev) {
	local := map[int]string{}
	if dev.Remote != 0 {
		local[dev.Remote] = "remote"
	}
	for i, f := range dev.Forward {
		field := d.item(dev, "forward", i)
		if other, taken := local[f.LocalPort]; taken {
			d.fail(field, d.at(field), "choose another local port", "local port %d is already used by %s", f.LocalPort, other)
		}
		local[f.LocalPort] = field
	}
	remote := map[int]string{
		dev.SSHServerPort: "the SSH server", contract.MetricsPort: "okteto's metrics",
		contract.SyncthingPort: "the synchronization", contract.SyncthingGUIPort: "the synchronization",
	}
	for i, r := range dev.Reverse {
		field := d.item(dev, "reverse", i)
		if other, taken := remote[r.RemotePort]; taken {
			d.fail(field, d.at(field), "choose another port in the pod", "port %d of the pod is already used by %s", r.RemotePort, other)
		}
		remote[r.RemotePort] = field
	}
	if port := dev.SSHServerPort; port != contract.SSHPort {
		if other, taken := remote[port]; taken && other != "the SSH server" || port < 1024 {
			field := join(dev.field, "sshServerPort")
			d.fail(field, d.at(field), "choose a port above 1024", "port %d cannot be used in the pod", port)
		}
	}
}
