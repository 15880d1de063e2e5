//go:build e2e

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"okteto/e2e/harness"
)

// TestPipelineOfRepository clones, shallow, over file:// and SSH, and destroys from
// anywhere.
func TestPipelineOfRepository(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(map[string]string{"okteto-pipeline.yml": "deploy:\n  - kubectl create configmap made --from-literal=branch=$OKTETO_GIT_BRANCH --from-literal=commits=$(git rev-list --count HEAD)\ndestroy:\n  - cat greeting\n", "greeting": "from the clone\n"})
	s.git("init", "--quiet", "--initial-branch", "main")
	s.git("add", "--all")
	s.git("commit", "--quiet", "--message", "one")
	s.git("checkout", "--quiet", "-b", "feature")
	s.git("commit", "--quiet", "--allow-empty", "--message", "two")
	commit, dir := s.git("rev-parse", "HEAD"), s.Dir
	s.CLI.Dir = t.TempDir()
	temp := t.TempDir()
	s.Env = append(s.Env, "TMPDIR="+temp)
	address := sshServer(t, s.TempDir())
	s.Env = append(s.Env, "GIT_SSH_COMMAND="+address.command)
	for _, repository := range []string{"file://" + dir, "ssh://" + address.host + dir} {
		t.Run(repository[:4], func(t *testing.T) {
			s.MustOkteto("pipeline", "deploy", "--name", name, "-r", repository, "-b", "feature")
			if r := s.status(); r.Commit != commit || r.Branch != "feature" || r.Repository != repository {
				t.Errorf("recorded: %+v", r)
			}
			if data := s.kubectl("get", "configmap", "made", "-o", "jsonpath={.data.branch} {.data.commits}"); data != "feature 1" {
				t.Errorf("the command saw the branch and number of commits %q, want feature and one", data)
			}
			if out := s.MustOkteto("pipeline", "destroy", "--name", name); out != "from the clone\n" {
				t.Errorf("destroy says %q", out)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("temporary files are left: %v, error %v", left, err)
			}
		})
	}
	result := s.Okteto(nil, "pipeline", "deploy", "--name", name, "-r", "file://"+dir, "-b", "absent")
	if result.Code != 1 || !strings.Contains(result.Stderr, "cannot clone file://"+dir+", branch absent") {
		t.Errorf("a branch that is not there: exit code %d: %s", result.Code, result.Stderr)
	}
	// Of a folder's own origin.
	s.CLI.Dir = filepath.Join(s.TempDir(), "clone")
	s.command(t, nil, "git", "clone", "--quiet", "file://"+dir, s.CLI.Dir)
	s.MustOkteto("pipeline", "deploy", "--name", name, "-b", "main")
	if r := s.status(); r.Branch != "main" || r.Commit == commit {
		t.Errorf("with -b alone, recorded: %+v", r)
	}
	s.MustOkteto("pipeline", "destroy", "--name", name)
}

// sshPlace is where an SSH server listens, user included, and the client's command
// to reach it.
type sshPlace struct{ host, command string }

// sshServer runs OpenSSH's for this user, who has a key to it.
func sshServer(t *testing.T, dir string) sshPlace {
	t.Helper()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	sshd, err := exec.LookPath("sshd")
	if errors.Is(err, exec.ErrNotFound) {
		sshd, err = exec.LookPath("/usr/sbin/sshd")
	}
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	server := exec.Command(sshd, "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(dir, "host"),
		"-o", fmt.Sprintf("ListenAddress=127.0.0.1:%d", port), "-o", "PidFile=none", "-o", "StrictModes=no",
		"-o", "AuthorizedKeysFile="+filepath.Join(dir, "user.pub"), "-o", "PermitRootLogin=prohibit-password")
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // killed
	})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	err = harness.Wait(ctx, "the SSH server", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("%w: %s", err, log.String())
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return sshPlace{
		host:    fmt.Sprintf("127.0.0.1:%d", port),
		command: "ssh -F /dev/null -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -i " + filepath.Join(dir, "user"),
	}
}
