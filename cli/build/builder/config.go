package builder

import (
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// Mode says with which rights the builder runs.
type Mode string

// The modes. Auto is rootless where the node allows it, else privileged.
const (
	Auto       Mode = "auto"
	Rootless   Mode = "rootless"
	Privileged Mode = "privileged"
)

// Default images: the release of the client that this program has.
const (
	rootlessImage   = "docker.io/moby/buildkit:v0.31.2-rootless"
	privilegedImage = "docker.io/moby/buildkit:v0.31.2"
)

// Defaults of the other settings.
const (
	defaultCacheSize = "20Gi"
	defaultCPU       = "4"
	defaultMemory    = "4Gi"
	defaultIdle      = 30 * time.Minute
	minIdle          = 10 * time.Second
)

// Config of a builder, from the environment; see docs/build-and-pipeline.md.
type Config struct {
	Mode Mode
	// Image, if not empty, is used in place of the default one of the mode. It
	// has buildkitd, for rootless also rootlesskit, and a shell.
	Image string
	// CacheSize of the volume; zero has no volume.
	CacheSize resource.Quantity
	// CPU and Memory are limits.
	CPU, Memory resource.Quantity
	// Idle is after how long without a connection it ends.
	Idle time.Duration
	// File is the content of a buildkitd.toml, may be empty.
	File []byte
}

// ConfigFromEnvironment reads the OKTETO_BUILDER_… variables.
func ConfigFromEnvironment() (Config, error) {
	c := Config{Mode: Mode(get(contract.EnvBuilderMode, string(Auto))), Image: os.Getenv(contract.EnvBuilderImage)}
	if c.Mode != Auto && c.Mode != Rootless && c.Mode != Privileged {
		return c, bad(contract.EnvBuilderMode, "choose one of: auto, rootless, privileged", nil)
	}
	for _, q := range []struct {
		name, value string
		to          *resource.Quantity
	}{
		{contract.EnvBuilderCacheSize, defaultCacheSize, &c.CacheSize},
		{contract.EnvBuilderCPU, defaultCPU, &c.CPU},
		{contract.EnvBuilderMemory, defaultMemory, &c.Memory},
	} {
		parsed, err := resource.ParseQuantity(get(q.name, q.value))
		if err != nil || parsed.Sign() < 0 {
			return c, bad(q.name, "write a quantity such as "+q.value, err)
		}
		*q.to = parsed
	}
	var err error
	if c.Idle, err = time.ParseDuration(get(contract.EnvBuilderIdle, defaultIdle.String())); err != nil || c.Idle < minIdle {
		return c, bad(contract.EnvBuilderIdle, fmt.Sprintf("write a duration of at least %s, such as 30m", minIdle), err)
	}
	if path := os.Getenv(contract.EnvBuilderConfig); path != "" {
		if c.File, err = os.ReadFile(path); err != nil {
			return c, bad(contract.EnvBuilderConfig, "name a readable buildkitd.toml", err)
		}
	}
	return c, nil
}

func get(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func bad(name, hint string, err error) error {
	return &ui.Problem{Summary: fmt.Sprintf("cannot use %s=%s", name, os.Getenv(name)), Cause: err, Hint: hint}
}
