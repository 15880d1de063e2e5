package binimage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"okteto/bin-image/original"
	"okteto/bin-image/process"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
)

// pod starts the agents as the newest original CLI does.
func pod(t *testing.T, set func(*sandbox.Options)) *sandbox.Container {
	t.Helper()
	_, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src"}}})
	o.UID, o.GID, o.ReadOnly = 12345, 12345, true
	if set != nil {
		set(&o)
	}
	return sandbox.Start(t, o)
}

// readyz is the answer of /readyz; an error while there is none.
func readyz(c *sandbox.Container) (string, error) {
	_, body, err := c.Get(metricsURL + "/readyz")
	return body, err
}

// says waits until /readyz contains the text.
func says(t *testing.T, c *sandbox.Container, text string) {
	t.Helper()
	c.Eventually(fmt.Sprintf("/readyz says %q", text), func() error {
		body, err := readyz(c)
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("%w: %s", sandbox.ErrNotYet, body)
		}
		return err
	})
}

// logs waits until the log contains all texts in one line.
func logs(t *testing.T, c *sandbox.Container, texts ...string) {
	t.Helper()
	c.Eventually(fmt.Sprintf("the log has %q", texts), func() error {
	lines:
		for line := range strings.SplitSeq(c.Log(), "\n") {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			return nil
		}
		return sandbox.ErrNotYet
	})
}

// agentPID finds an agent of the container, from outside.
func agentPID(c *sandbox.Container, name string) (int, error) {
	table, err := process.Snapshot()
	if err != nil {
		return 0, err
	}
	all := table.Descendants(c.PID())
	if first := table.Get(c.PID()); first != nil {
		all = append(all, first)
	}
	for _, p := range all {
		if args := p.Args(); len(args) > 0 && filepath.Base(args[0]) == name && !p.Zombie() {
			return p.PID, nil
		}
	}
	return 0, fmt.Errorf("no process %s: %w", name, os.ErrNotExist)
}

func kill(t *testing.T, c *sandbox.Container, name string) int {
	t.Helper()
	pid, err := agentPID(c, name)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestKilledChildren: each comes back, the other goes on, and the reason shows.
func TestKilledChildren(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{
		contract.SyncthingBinary: contract.RemoteBinary,
		contract.RemoteBinary:    contract.SyncthingBinary,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := pod(t, nil)
			ready(c)
			spared, err := agentPID(c, other)
			if err != nil {
				t.Fatal(err)
			}
			const times = 5
			for range times {
				old := kill(t, c, name)
				c.Eventually("a new process", func() error {
					pid, err := agentPID(c, name)
					if err == nil && pid == old {
						err = sandbox.ErrNotYet
					}
					return err
				})
			}
			ready(c)
			if now, err := agentPID(c, other); err != nil || now != spared {
				t.Errorf("%s was process %d and is %d, %v", other, spared, now, err)
			}
			logs(t, c, "service="+name, "reason=signal", "SIGKILL")
			says(t, c, fmt.Sprintf("[+]%s ok; restarts so far: %d, before the last: ended with signal SIGKILL", name, times))
			m := metricsOf(t, c)
			if got := m[fmt.Sprintf(`okteto_service_restarts_total{service=%q}`, name)]; got != times {
				t.Errorf("%v restarts, want %d", got, times)
			}
			if got := m[fmt.Sprintf(`okteto_service_exits_total{reason="signal",service=%q}`, name)]; got != times {
				t.Errorf("%v exits by signal, want %d", got, times)
			}
			if got := m[fmt.Sprintf(`okteto_service_last_exit_code{service=%q}`, name)]; got != 128+9 {
				t.Errorf("last exit code %v", got)
			}
		})
	}
}

// TestKilledSupervisor takes the children with it, also where it is not PID 1.
func TestKilledSupervisor(t *testing.T) {
	t.Parallel()
	c := pod(t, func(o *sandbox.Options) { o.NotPID1 = true })
	ready(c)
	var children []int
	for _, name := range []string{contract.SyncthingBinary, contract.RemoteBinary} {
		pid, err := agentPID(c, name)
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, pid)
	}
	// A stopped first process keeps the container, and its zombies, in being.
	c.Signal(syscall.SIGSTOP)
	kill(t, c, contract.SupervisorBinary)
	for _, pid := range children {
		c.Eventually("the end of a child", func() error {
			table, err := process.Snapshot()
			if err == nil && table.Get(pid) != nil && !table.Get(pid).Zombie() {
				err = fmt.Errorf("%w: %d runs", sandbox.ErrNotYet, pid)
			}
			return err
		})
	}
}

// TestBrokenParts: what is missing or damaged is named, the rest goes on, and
// what was repaired works again by itself.
func TestBrokenParts(t *testing.T) {
	t.Parallel()
	const keys = "okteto-remote"
	for _, test := range []struct {
		name  string
		broke func(*sandbox.Options)
		cause string // in /readyz
		other string // service that goes on
	}{
		{"no configuration", func(o *sandbox.Options) { delete(o.SyncSecret, contract.SyncthingConfigFile) }, "config-missing", keys},
		{"damaged configuration", func(o *sandbox.Options) { o.SyncSecret[contract.SyncthingConfigFile] = "<configuration>" }, "config-invalid", keys},
		{"no certificate", func(o *sandbox.Options) { delete(o.SyncSecret, contract.SyncthingCertFile) }, "certificate-missing", keys},
		{"damaged key", func(o *sandbox.Options) { o.SyncSecret[contract.SyncthingKeyFile] = "not a key" }, "certificate-invalid", keys},
		{"no secret at all", func(o *sandbox.Options) { o.NoSyncSecret = true }, "config-missing", keys},
		{"no authorized keys", func(o *sandbox.Options) { o.Args = []string{"-r"} }, "authorized-keys-missing", contract.SyncthingBinary},
		{"empty authorized keys", func(o *sandbox.Options) { o.Secret["authorized_keys"] = "" }, "authorized-keys-empty", contract.SyncthingBinary},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var good map[string]string
			var authorized string
			c := pod(t, func(o *sandbox.Options) {
				good = map[string]string{}
				for name, content := range o.SyncSecret {
					good[name] = content
				}
				authorized = o.Secret["authorized_keys"]
				test.broke(o)
			})
			says(t, c, "("+test.cause+")")
			says(t, c, "[+]"+test.other+" ok")
			logs(t, c, "cause="+test.cause)
			if body, _ := readyz(c); strings.Contains(body, "/") {
				t.Errorf("/readyz names files: %s", body)
			}
			// Repair from outside, as a person in the pod would.
			for name, content := range good {
				write(t, c, contract.SyncthingHome+"/"+name, content)
			}
			write(t, c, contract.AuthorizedKeys, authorized)
			ready(c)
		})
	}
}

// write a file in the container as its user.
func write(t *testing.T, c *sandbox.Container, path, content string) {
	t.Helper()
	cmd := c.Command(contract.Busybox, "sh", "-c", "umask 077; "+contract.Busybox+" cat >"+path)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
}

// TestDamagedDatabase: the daemon repairs it or starts over with a new one.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	files, err := filepath.Glob(c.Path(contract.SyncthingDataDir + "/index-*.db/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := kill(t, c, contract.SyncthingBinary)
	c.Eventually("a new daemon", func() error {
		pid, err := agentPID(c, contract.SyncthingBinary)
		if err == nil && pid == old {
			err = sandbox.ErrNotYet
		}
		return err
	})
	ready(c)
	if m := metricsOf(t, c); m[`okteto_service_restarts_total{service="syncthing"}`] != 1 {
		t.Error("the daemon did not manage at the first attempt")
	}
}

// TestDiskFull: the reason is named, and when there is room again all is well.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := pod(t, func(o *sandbox.Options) { o.Sizes = map[string]int64{contract.SyncthingHome: 24 << 20} })
	ready(c)
	filler := contract.SyncthingHome + "/filler"
	if _, err := c.Exec(contract.Busybox, "dd", "if=/dev/zero", "of="+filler, "bs=65536"); err == nil {
		t.Fatal("the disk is not full")
	}
	kill(t, c, contract.SyncthingBinary)
	says(t, c, "(disk-full)")
	says(t, c, "[+]okteto-remote ok")
	if _, err := c.Exec(contract.Busybox, "rm", filler); err != nil {
		t.Fatal(err)
	}
	ready(c)
}

// TestPortInUse names the holder, and goes on when the port is free.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	squatter := c.Command(contract.Busybox, "sh", "-c",
		"until "+contract.Busybox+" httpd -f -p 127.0.0.1:2222 2>/dev/null; do "+contract.Busybox+" sleep 0.02; done")
	squatter.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := squatter.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-squatter.Process.Pid, syscall.SIGKILL)
		_ = squatter.Wait()
	}()
	c.Eventually("a port that is taken", func() error {
		if pid, err := agentPID(c, contract.RemoteBinary); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		body, err := readyz(c)
		if err == nil && !strings.Contains(body, "(port-in-use)") {
			err = fmt.Errorf("%w: %s", sandbox.ErrNotYet, body)
		}
		return err
	})
	logs(t, c, "cause=port-in-use", "(busybox)")
	if err := syscall.Kill(-squatter.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// nsenter forks into the pid namespace, and the fork has our process group.
	ready(c)
}

// TestPortOfAnotherAddress is no port in use: a program of the user that listens
// there, on an address that the SSH server does not, is not in its way.
func TestPortOfAnotherAddress(t *testing.T) {
	t.Parallel()
	c := pod(t, nil)
	ready(c)
	// Everything in 127.0.0.0/8 is loopback.
	neighbour := c.Command(contract.Busybox, "httpd", "-f", "-p", "127.0.0.2:2222")
	neighbour.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := neighbour.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-neighbour.Process.Pid, syscall.SIGKILL)
		_ = neighbour.Wait()
	}()
	c.Eventually("the neighbour listens", func() error {
		conn, err := c.Dial(t.Context(), "tcp", "127.0.0.2:2222")
		if err == nil {
			conn.Close()
		}
		return err
	})
	old := kill(t, c, contract.RemoteBinary)
	c.Eventually("another SSH server", func() error {
		pid, err := agentPID(c, contract.RemoteBinary)
		if err == nil && pid == old {
			err = sandbox.ErrNotYet
		}
		return err
	})
	ready(c)
	if strings.Contains(c.Log(), "port-in-use") {
		t.Error("the neighbour was taken for a holder of the port")
	}
}

// TestMetricsAddress: another, none, and one that is taken.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	t.Run("another", func(t *testing.T) {
		c := pod(t, func(o *sandbox.Options) { o.Env = []string{contract.EnvMetricsAddress + "=127.0.0.1:9999"} })
		c.Eventually("health", func() error {
			_, _, err := c.Get("http://127.0.0.1:9999/healthz")
			return err
		})
		if _, _, err := c.Get(metricsURL + "/healthz"); err == nil {
			t.Error("the usual port answers too")
		}
	})
	t.Run("off", func(t *testing.T) {
		c := pod(t, func(o *sandbox.Options) { o.Env = []string{contract.EnvMetricsAddress + "=off"} })
		logs(t, c, "msg=ready", "service=syncthing")
		logs(t, c, "msg=ready", "service=okteto-remote")
		if _, _, err := c.Get(metricsURL + "/healthz"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("metrics are off: %v", err)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		c := pod(t, func(o *sandbox.Options) { o.Env = []string{contract.EnvMetricsAddress + "=nonsense"} })
		if code := c.Wait(); code != 1 {
			t.Errorf("exit code %d", code)
		}
		logs(t, c, contract.EnvMetricsAddress, "use host:port")
	})
}
