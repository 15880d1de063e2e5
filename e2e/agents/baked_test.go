//go:build e2e

package agents

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"okteto/e2e/harness"
)

// bakedDockerfile is how docs/ssh.md says to bake the SSH server into an image.
const bakedDockerfile = `FROM ` + harness.DevImage + `
COPY --from=okteto/remote:dev /usr/local/bin/okteto-remote /usr/local/bin/
COPY authorized_keys /var/okteto/remote/authorized_keys
ENV OKTETO_REMOTE_ADDRESS=0.0.0.0
CMD ["okteto-remote"]
`

// TestBakedIntoAnImage builds an image as the documentation says, runs it, and
// logs in with the system's SSH client.
func TestBakedIntoAnImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := writeKey(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(bakedDockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	tag := "okteto-baked-test:" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	docker(t, "build", "--tag", tag, dir)
	t.Cleanup(func() { docker(t, "image", "rm", "--force", tag) })
	container := docker(t, "run", "--detach", "--publish", "127.0.0.1::2222", tag)
	t.Cleanup(func() { docker(t, "rm", "--force", container) })
	_, port, ok := strings.Cut(docker(t, "port", container, "2222"), ":")
	if !ok {
		t.Fatal("the container's port is not published")
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	err := harness.Wait(ctx, "a login", func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", key, "-p", port, "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known"),
			"dev@127.0.0.1", "echo $0 >&2; cat; exit 7")
		cmd.Stdin = strings.NewReader("through and back")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 || string(out) != "through and back" {
			return fmt.Errorf("%q, %w: %s", out, err, stderr.String())
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v\n%s", err, docker(t, "logs", container))
	}
}

// writeKey makes a key pair, and authorizes it.
func writeKey(t *testing.T, dir string) (path string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "id")
	err = errors.Join(
		os.WriteFile(path, pem.EncodeToMemory(block), 0o600),
		os.WriteFile(filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", args[0], err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
