package tree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"okteto/bin-image/supervisor/child"
	"okteto/bin-image/supervisor/service"
	"okteto/internal/contract"
)

// exitRestart is the exit code by which Syncthing asks to be started again
// (svcutil.ExitRestart in its lib/svcutil), as after POST rest/system/restart.
const exitRestart = 3

func (s *supervisor) configPath() string {
	return filepath.Join(s.opts.SyncthingHome, contract.SyncthingConfigFile)
}

// syncthing is the sync daemon.
func (s *supervisor) syncthing() service.Config {
	return service.Config{
		Name: contract.SyncthingBinary,
		Command: func(first bool) child.Spec {
			args := []string{"--config", s.opts.SyncthingHome, "--data", s.opts.DataDir}
			if first && s.opts.Reset {
				args = append(args, "--reset-database")
			}
			return child.Spec{
				Path: filepath.Join(s.opts.BinDir, contract.SyncthingBinary),
				Args: args, Env: s.syncthingEnv(os.Environ()), Dir: s.opts.SyncthingHome,
			}
		},
		Probe: s.sync.Healthy,
		// A big scan may keep it busy, so only a long silence counts.
		Hung:        3 * time.Minute,
		RestartCode: exitRestart,
		Grace:       s.opts.Grace,
		OOMKills:    s.oomKills(),
		Diagnose:    s.diagnoseSyncthing,
		Log:         s.log,
	}
}

// syncthingEnv leaves out what the daemon has no use for: the pod's environment
// is full of the user's secrets, and what does not have them cannot show them.
func (s *supervisor) syncthingEnv(environ []string) []string {
	var env []string
	home := false
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case name == "HOME":
			home = true
		case name == "PATH", name == "TZ", name == "LANG", name == "TMPDIR",
			name == "GOMEMLIMIT", name == "GOGC", name == "GOMAXPROCS", name == "GODEBUG", name == "GOTRACEBACK",
			name == "STTRACE":
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
			return child.Spec{Path: filepath.Join(s.opts.BinDir, contract.RemoteBinary), Env: os.Environ()}
		},
		Probe:    s.probeSSH,
		Grace:    s.opts.Grace,
		OOMKills: s.oomKills(),
		Diagnose: s.diagnoseRemote,
		Log:      s.log,
	}
}

// probeSSH waits for the identification line, which a server sends first and at
// once (RFC 4253 section 4.2).
func (s *supervisor) probeSSH(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.opts.SSHAddress)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read SSH identification from %s: %w", s.opts.SSHAddress, err)
	}
	if !strings.HasPrefix(line, "SSH-") {
		return fmt.Errorf("read SSH identification from %s: %w", s.opts.SSHAddress, errNotSSH)
	}
	return nil
}

var errNotSSH = errors.New("another server answers")

func (s *supervisor) oomKills() func() (uint64, error) {
	if s.memory == nil {
		return nil
	}
	return s.memory.OOMKills
}

// gentle says that a signal is how a program without a handler ends on TERM.
func gentle(e child.Exit) bool { return e.Signal == syscall.SIGTERM }
