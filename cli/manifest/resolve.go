package manifest

import (
	"path"
	"strconv"
	"time"

	"okteto/internal/contract"
)

// Defaults of the original (pkg/model/dev.go).
const (
	defaultWorkdir          = "/okteto"
	defaultTimeout          = 60 * time.Second
	defaultResourcesTimeout = 120 * time.Second
	defaultInterface        = "localhost"
)

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
