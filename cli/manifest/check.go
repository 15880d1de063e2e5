package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"okteto/internal/contract"
)

// Defaults of the original (pkg/model/dev.go).
const (
	defaultWorkdir          = "/okteto"
	defaultTimeout          = 60 * time.Second
	defaultResourcesTimeout = 120 * time.Second
	defaultInterface        = "localhost"
	// maxNameLength leaves room for what is put around a name in the names of
	// objects and volumes, which have 63 characters.
	maxNameLength = validation.DNS1123LabelMaxLength - len(contract.SecretPrefix)
)

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

// resolve fills in what follows from other fields and the defaults.
func (d *decoder) resolve(dev *Dev) {
	dev.Image = dev.ImageBuild.Name
	if len(dev.Sync.Folders) == 0 {
		if dev.Workdir == "" {
			dev.Workdir = defaultWorkdir
		}
		dev.Sync.Folders = []SyncFolder{{LocalPath: d.env.dir, RemotePath: path.Clean(dev.Workdir)}}
	}
	if len(dev.Command) == 0 {
		dev.Command = Command{contract.DefaultDevCommand}
	}
	if dev.SSHServerPort == 0 {
		dev.SSHServerPort = contract.SSHPort
	}
	dev.Interface = orElse(dev.Interface, defaultInterface)
	if dev.Timeout.Default == 0 {
		dev.Timeout.Default = d.defaultTimeout(dev)
	}
	if dev.Timeout.Resources == 0 {
		dev.Timeout.Resources = defaultResourcesTimeout
	}
	d.envFiles(dev)
}

// defaultTimeout is OKTETO_TIMEOUT, a duration or a number of seconds.
func (d *decoder) defaultTimeout(dev *Dev) time.Duration {
	text := d.env.values[contract.EnvTimeout]
	if text == "" {
		return defaultTimeout
	}
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	value, err := time.ParseDuration(text)
	if err != nil || value <= 0 {
		d.fail(join(dev.field, "timeout"), d.at(dev.field), "such as 90s", "%s=%q is not a duration", contract.EnvTimeout, text)
		return defaultTimeout
	}
	return value
}

// envFiles merges the env files below the environment.
func (d *decoder) envFiles(dev *Dev) {
	var merged Environment
	for _, name := range dev.EnvFiles {
		vars, err := readEnvFile(d.localPath(name))
		if err != nil {
			field := join(dev.field, "envFiles")
			d.fail(field, d.at(field), "", "read %s: %v", name, err)
			continue
		}
		for _, v := range vars {
			merged.set(d, join(dev.field, "envFiles"), d.at(join(dev.field, "envFiles")), v.Name, v.Value)
		}
	}
	for _, v := range dev.Environment {
		merged.set(d, join(dev.field, "environment"), d.at(join(dev.field, "environment")), v.Name, v.Value)
	}
	dev.Environment = merged
}

// check finds what is wrong between fields.
func (d *decoder) check(m *Manifest) {
	for i, f := range m.Forward {
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
		d.checkSecurity(dev)
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
	for _, key := range sortedKeys(dev.Selector) {
		field := join(join(dev.field, "selector"), key)
		if errs := validation.IsQualifiedName(key); len(errs) > 0 {
			d.fail(field, d.at(field), "", "%q is not a label: %s", key, errs[0])
		}
		if errs := validation.IsValidLabelValue(dev.Selector[key]); len(errs) > 0 {
			d.fail(field, d.at(field), "", "%q is not a value of a label: %s", dev.Selector[key], errs[0])
		}
	}
	if dev.Workdir != "" && !path.IsAbs(dev.Workdir) {
		field := join(dev.field, "workdir")
		d.fail(field, d.at(field), "write /"+dev.Workdir, "must be absolute, got %q", dev.Workdir)
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

func (d *decoder) checkSecurity(dev *Dev) {
	s := dev.SecurityContext
	if s != nil && s.RunAsUser != nil && *s.RunAsUser == 0 && s.RunAsNonRoot != nil && *s.RunAsNonRoot {
		field := join(dev.field, "securityContext.runAsNonRoot")
		d.fail(field, d.at(field), "set another runAsUser, or remove runAsNonRoot", "runAsUser 0 is root")
	}
	for _, name := range sortedKeys(requestKeys(dev.Resources)) {
		request := dev.Resources.Requests[resourceName(name)]
		if limit, ok := dev.Resources.Limits[resourceName(name)]; ok && request.Cmp(limit) > 0 {
			field := join(dev.field, "resources.requests."+name)
			d.fail(field, d.at(field), "", "the request %s is above the limit %s", request.String(), limit.String())
		}
	}
	if size := dev.PersistentVolume.Size; size != nil && size.Sign() <= 0 {
		field := join(dev.field, "persistentVolume.size")
		d.fail(field, d.at(field), "such as 5Gi", "the volume needs a size")
	}
}

func requestKeys(r Resources) map[string]bool {
	keys := map[string]bool{}
	for k := range r.Requests {
		keys[string(k)] = true
	}
	return keys
}

func (d *decoder) checkServices(dev *Dev) {
	if len(dev.Services) > 0 && !dev.VolumeEnabled() {
		field := join(dev.field, "services")
		d.fail(field, d.at(field), "set persistentVolume.enabled: true", "services share the environment's volume, which is off")
	}
	for i := range dev.Services {
		s := &dev.Services[i]
		field := d.item(dev, "services", i)
		switch {
		case s.Name == "" && len(s.Selector) == 0:
			d.fail(field, d.at(field), "", "a service needs the name or the labels of its workload")
		case s.Name != "" && len(s.Selector) > 0:
			d.fail(field, d.at(field), "remove one of them", "name and selector exclude each other")
		case s.Name != "" && s.Name == dev.Name:
			d.fail(field, d.at(field), "", "a service cannot be the environment itself")
		}
		if len(s.Sync.Folders) == 0 {
			s.Sync.Folders = dev.Sync.Folders
		}
		for _, f := range s.Sync.Folders {
			if !slices.ContainsFunc(dev.Sync.Folders, func(own SyncFolder) bool { return within(own.LocalPath, f.LocalPath) }) {
				d.fail(join(field, "sync"), d.at(join(field, "sync")), "add it to the environment's sync", "%s is not among the folders that the environment synchronizes", f.LocalPath)
			}
		}
	}
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// CheckLocal finds what is missing on this machine: folders to synchronize and
// secret files. `up` and `validate` need them, `down` does not. The error is
// *Error.
func (d *Dev) CheckLocal() error {
	look := &decoder{path: d.Path, positions: d.positions}
	for i, f := range d.Sync.Folders {
		field := look.item(d, "sync", i, "folders")
		info, err := os.Stat(f.LocalPath)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			look.fail(field, look.at(field), "create it, or correct the path", "the folder %s does not exist", f.LocalPath)
		case err != nil:
			look.fail(field, look.at(field), "", "the folder cannot be used: %v", err)
		case !info.IsDir():
			look.fail(field, look.at(field), "synchronize its folder; single files can be secrets", "%s is not a folder", f.LocalPath)
		}
	}
	for i, s := range d.Secrets {
		field := look.item(d, "secrets", i)
		info, err := os.Stat(s.LocalPath)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			look.fail(field, look.at(field), "create it, or correct the path", "the file %s does not exist", s.LocalPath)
		case err != nil:
			look.fail(field, look.at(field), "", "the file cannot be used: %v", err)
		case !info.Mode().IsRegular():
			look.fail(field, look.at(field), "", "%s is not a regular file", s.LocalPath)
		}
	}
	if len(look.issues) > 0 {
		e := &Error{Issues: look.issues}
		e.sort()
		return e
	}
	return nil
}
