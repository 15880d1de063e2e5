// Package up is `okteto up`: it puts the workload in development mode, connects
// the laptop to its pod, synchronizes, runs the command, and keeps all of that
// alive until the user or the cluster ends it.
//
// Four things run beside each other once it is up: supervise follows the
// workload and its pod, the tunnel's Link keeps the SSH connections, keepSync
// keeps the synchronization daemon, and monitor tells the user and the state
// file how it all stands. Each goes on from wherever the others are, so there is
// no order in which things may break.
package up

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"okteto/cli/manifest"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// Reporter is told what happens.
type Reporter interface {
	Step(format string, args ...any)
	Update(format string, args ...any)
	// Measure is Update for numbers that change all the time.
	Measure(format string, args ...any)
	Done(format string, args ...any)
	Note(format string, args ...any)
	Warn(format string, args ...any)
	// Ready is called once, when everything is up and before the command runs.
	Ready(Info)
}

// Info is what a user wants to know about an environment that is ready.
type Info struct {
	Context   string `json:"context"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Pod       string `json:"pod"`
	// Forwards and Reverses as lines, such as "8080 -> 80".
	Forwards []string `json:"forwards,omitempty"`
	Reverses []string `json:"reverses,omitempty"`
	// SSHHost is the name in the SSH configuration, "" if it could not be
	// written.
	SSHHost string `json:"sshHost,omitempty"`
	SSHPort int    `json:"sshPort"`
	// Command that runs, as it was given; empty if none does.
	Command []string `json:"command,omitempty"`
	// Log is the environment's log file.
	Log string `json:"log"`
}

// Options of Run.
type Options struct {
	Target *target.Target
	// Command in place of the manifest's; nil for the manifest's.
	Command []string
	// Environment in addition to the manifest's.
	Environment []manifest.EnvVar
	// RemotePort is the laptop's SSH port, 0 for the manifest's or a free one.
	RemotePort int
	// Reset forgets what the synchronization knows of both sides.
	Reset bool
	// DryRun prints what would be applied to the cluster, and changes nothing.
	DryRun bool
	// TakeOver ends another `up` of the environment first.
	TakeOver bool
	// Detached says that no terminal belongs to this process.
	Detached bool
	Streams  ui.Streams
	Report   Reporter
	// Ask puts a question that yes or no answers to the user, nil if nobody can be
	// asked.
	Ask func(question string) (bool, error)
	// Logged is called with the environment's log as soon as it is open.
	Logged func(*os.File)
}

// Validate reports what the flags ask for that cannot be. It looks at nothing
// outside the process but the folders and files that the manifest names.
func (o *Options) Validate() error {
	if os.Getenv(contract.EnvName) != "" && os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return &ui.Problem{
			Summary: "okteto up cannot run inside a development container",
			Detail:  fmt.Sprintf("%s=%s is set", contract.EnvName, os.Getenv(contract.EnvName)),
			Hint:    "run it on your own machine",
		}
	}
	for _, v := range o.Environment {
		if strings.HasPrefix(v.Name, "OKTETO_") {
			return &ui.Problem{
				Summary: fmt.Sprintf("the variable %s cannot be set with -e", v.Name),
				Detail:  "names that begin with OKTETO_ belong to okteto",
				Hint:    "choose another name",
			}
		}
	}
	if o.RemotePort < 0 || o.RemotePort > 65535 {
		return &ui.Problem{Summary: fmt.Sprintf("%d is not a port", o.RemotePort), Hint: "choose one between 1024 and 65535"}
	}
	if err := o.Target.Dev.CheckLocal(); err != nil {
		return target.Explain(err, o.Target.Manifest.Path)
	}
	return nil
}

// ParseVariable reads NAME=VALUE, or NAME for the value in this process's
// environment.
func ParseVariable(text string) (manifest.EnvVar, error) {
	name, value, given := strings.Cut(text, "=")
	if name == "" || strings.ContainsAny(name, " \t") {
		return manifest.EnvVar{}, &ui.Problem{Summary: fmt.Sprintf("%q is not a variable", text), Hint: "write -e NAME=VALUE"}
	}
	if !given {
		var ok bool
		if value, ok = os.LookupEnv(name); !ok {
			return manifest.EnvVar{}, &ui.Problem{
				Summary: fmt.Sprintf("the variable %s is not set", name),
				Hint:    fmt.Sprintf("export it, or write -e %s=VALUE", name),
			}
		}
	}
	return manifest.EnvVar{Name: name, Value: value}, nil
}

// Ways for an environment to end that are not failures.
var (
	// errInterrupted: the user ended it.
	errInterrupted = errors.New("interrupted")
	// errDeactivated: `down` ran, here or elsewhere.
	errDeactivated = errors.New("development mode was switched off")
	// errTakenOver: another `up` says that the environment is its own.
	errTakenOver = errors.New("taken over by another okteto up")
)

// EnvDebug makes the log say more.
const EnvDebug = "OKTETO_DEBUG"

// newLogger writes to the environment's log and, before that exists, nowhere.
func newLogger(f *os.File) *slog.Logger {
	if f == nil {
		return slog.New(slog.DiscardHandler)
	}
	level := slog.LevelInfo
	if os.Getenv(EnvDebug) != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: level}))
}
