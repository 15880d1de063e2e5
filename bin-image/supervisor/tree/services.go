package tree

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"okteto/bin-image/sockets"
	"okteto/bin-image/supervisor/child"
	"okteto/bin-image/supervisor/service"
	"okteto/internal/contract"
)

// exitRestart is the exit code by which Syncthing asks to be started again
// (svcutil.ExitRestart in its lib/svcutil), as after POST rest/system/restart.
const exitRestart = 3

// probeEvery of services that are ready: an end is noticed at once, so this is
// for those that hang or were stopped. The original CLI gives a silent one up after
// 40 seconds.
const probeEvery = 10 * time.Second

// hungAfter is the silence after which a service that was ready is ended, and
// started again. It is long: a big scan, or a container that gets little of the
// processor, is no reason.
const hungAfter = 3 * time.Minute

func (s *supervisor) configPath() string {
	return filepath.Join(s.opts.SyncthingHome, contract.SyncthingConfigFile)
}

// syncthing is the sync daemon.
func (s *supervisor) syncthing() service.Config {
	return service.Config{
		Name: contract.SyncthingBinary,
		Command: func(first bool) child.Spec {
			s.prepare()
			args := []string{"--config", s.opts.SyncthingHome, "--data", s.opts.DataDir}
			if first && s.opts.Reset {
				args = append(args, "--reset-database")
			}
			// Not --verbose: every manifest has sync.verbose unless it says no, and
			// a line for each file costs a first synchronization more than its files.
			return child.Spec{
				Path: filepath.Join(s.opts.BinDir, contract.SyncthingBinary),
				Args: args, Env: s.syncthingEnv(s.opts.Environ), Dir: s.opts.SyncthingHome,
			}
		},
		Probe:       s.sync.Healthy,
		Hung:        hungAfter,
		ProbeEvery:  probeEvery,
		RestartCode: exitRestart,
		Grace:       s.opts.Grace,
		OOMKills:    s.oomKills(),
		Diagnose:    s.diagnoseSyncthing,
		Log:         s.log,
	}
}

// syncthingEnv leaves out what the daemon has no use for: the pod's environment
// is full of the user's secrets, and what does not have them cannot show them. Nor
// does it get Go's settings (GOGC, GODEBUG): they are meant for the user's program.
func (s *supervisor) syncthingEnv(environ []string) []string {
	var env []string
	home := false
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case name == "HOME":
			home = true
		case name == "PATH", name == "TZ", name == "LANG", name == "TMPDIR", name == "STTRACE":
		default:
			continue
		}
		env = append(env, kv)
	}
	if !home {
		env = append(env, "HOME="+s.opts.SyncthingHome)
	}
	return env
}

// remote is the SSH server.
func (s *supervisor) remote() service.Config {
	return service.Config{
		Name: contract.RemoteBinary,
		Command: func(bool) child.Spec {
			// Sessions inherit the environment and the working directory of
			// the container through it.
			return child.Spec{Path: filepath.Join(s.opts.BinDir, contract.RemoteBinary), Env: s.opts.Environ}
		},
		Probe:      s.probeSSH,
		Hung:       hungAfter,
		ProbeEvery: probeEvery,
		Grace:      s.opts.Grace,
		OOMKills:   s.oomKills(),
		Diagnose:   s.diagnoseRemote,
		Log:        s.log,
	}
}

// probeSSH looks whether the server itself listens, and then asks it for its
// metrics. A connection to the port would show as a failed login.
func (s *supervisor) probeSSH(ctx context.Context) error {
	address, err := netip.ParseAddrPort(s.opts.SSHAddress)
	if err != nil {
		return err
	}
	listeners, err := sockets.Listeners(address)
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		return fmt.Errorf("nothing listens on %s: %w", address, errNotYet)
	}
	pid := s.pid(contract.RemoteBinary)
	if other, ok := foreign(listeners, pid); ok {
		return fmt.Errorf("%s is held by process %d: %w", address, other, errNotYet)
	}
	if _, err := os.Stat(s.opts.RemoteMetricsSocket); err != nil {
		return nil // a server without metrics may be as good
	}
	page, err := s.remoteMetrics(ctx)
	if err != nil {
		return fmt.Errorf("ask the SSH server for its metrics: %w", err)
	}
	return page.Close()
}

var errNotYet = errors.New("not ready")

// pid of a service's running process, or 0.
func (s *supervisor) pid(name string) int {
	for _, svc := range s.services {
		if svc.String() == name {
			return svc.Status().PID
		}
	}
	return 0
}

func (s *supervisor) oomKills() func() (uint64, error) {
	if s.memory == nil {
		return nil
	}
	return s.memory.OOMKills
}

// gentle says that a signal is how a program without a handler ends on TERM.
func gentle(e child.Exit) bool { return e.Signal == syscall.SIGTERM }
