//go:build e2e

package pipeline

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"okteto/e2e/harness"
)

// TestBuildOptions tries what docker build's options of the same names do, on one
// builder.
func TestBuildOptions(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.buildkit()
	s.copyBusybox()
	t.Run("platforms", s.platforms)
	t.Run("outputs", s.outputs)
	t.Run("terminal", s.terminal)
	t.Run("ssh", s.forwardsAgent)
	t.Run("caches", s.caches) // empties the builder's own
}

// native is the platform of the cluster's nodes, which is that of this machine.
func native() string { return "linux/" + runtime.GOARCH }

// foreign is another one.
func foreign() string {
	if runtime.GOARCH == "arm64" {
		return "linux/amd64"
	}
	return "linux/arm64"
}

func (s *stage) platforms(t *testing.T) {
	s.write(map[string]string{
		"Dockerfile":         "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /arch\n",
		"run.Dockerfile":     "FROM scratch\nCOPY program /\nRUN [\"/program\"]\n",
		"amd64":              "is amd64",
		"arm64":              "is arm64",
		"present.Dockerfile": "FROM " + s.node + "/" + s.CLI.Namespace + "/native\nCOPY Dockerfile /\n",
	})
	s.MustOkteto("build", "--platform", native(), "-t", "okteto.dev/native")
	s.MustOkteto("build", "--platform", native(), "-f", filepath.Join(s.Dir, "present.Dockerfile"))

	// Nothing runs: no emulator is needed.
	ref := s.MustOkteto("build", "--platform", foreign(), "-t", "okteto.dev/foreign")
	arch := strings.TrimPrefix(foreign(), "linux/")
	if all := s.contents(s.CLI.Namespace+"/foreign", digestOf(ref)); !bytes.Contains(all, []byte("is "+arch)) || !bytes.Contains(all, []byte(`"architecture":"`+arch+`"`)) {
		t.Errorf("the image is not one of %s", foreign())
	}

	ref = s.MustOkteto("build", "--platform", native()+","+foreign(), "-t", "okteto.dev/both")
	var index struct {
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
	}
	if err := json.Unmarshal(s.get("v2/"+s.CLI.Namespace+"/both/manifests/"+digestOf(ref)), &index); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range index.Manifests {
		if m.Platform.OS == "unknown" {
			continue // an attestation
		}
		found = append(found, m.Platform.OS+"/"+m.Platform.Architecture)
		if all := s.contents(s.CLI.Namespace+"/both", m.Digest); !bytes.Contains(all, []byte("is "+m.Platform.Architecture)) {
			t.Errorf("the image of %s is another one's", m.Platform.Architecture)
		}
	}
	if want := []string{native(), foreign()}; !slices.Equal(found, want) {
		t.Errorf("the index has %v, want %v", found, want)
	}

	// make build leaves the agents of both platforms.
	program := filepath.Join(s.Root, "bin", strings.Replace(foreign(), "/", "-", 1), "clean")
	copyProgram(t, program, filepath.Join(s.Dir, "program"))
	result := s.Okteto(nil, "build", "--platform", foreign(), "-f", filepath.Join(s.Dir, "run.Dockerfile"))
	if result.Code != 1 || !strings.Contains(result.Stderr, "cannot run programs of "+foreign()) {
		t.Errorf("a step of another platform: exit code %d: %s", result.Code, result.Stderr)
	}
}

func (s *stage) outputs(t *testing.T) {
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY kept /\n", "kept": "content\n", "bad.Dockerfile": baseDockerfile + "RUN exit 3\n"})
	dir := t.TempDir()
	result := s.Okteto(nil, "build", "-o", "-")
	if names := archived(t, []byte(result.Stdout)); result.Code != 0 || !slices.Equal(names, []string{"kept"}) {
		t.Errorf("the archive on standard output has %v, exit code %d: %s", names, result.Code, result.Stderr)
	}
	result = s.Okteto(nil, "build", "-t", "okteto.dev/archived", "-o", "type=oci,dest=-")
	if names := archived(t, []byte(result.Stdout)); !slices.Contains(names, "index.json") || !strings.Contains(result.Stderr, "sha256:") {
		t.Errorf("the image on standard output has %v: %s", names, result.Stderr)
	}

	archive := filepath.Join(dir, "image.tar")
	for _, kind := range []string{"oci", "docker", "tar"} {
		s.MustOkteto("build", "-t", "okteto.dev/archived", "--output", "type="+kind+",dest="+archive)
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"oci": "index.json", "docker": "manifest.json", "tar": "kept"}[kind]
		if names := archived(t, content); !slices.Contains(names, want) {
			t.Errorf("an archive of type %s has %v", kind, names)
		}
	}
	before, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	result = s.Okteto(nil, "build", "-f", filepath.Join(s.Dir, "bad.Dockerfile"), "--output", "type=tar,dest="+archive)
	after, err := os.ReadFile(archive)
	if result.Code != 1 || err != nil || !bytes.Equal(before, after) {
		t.Errorf("a build that fails, exit code %d, leaves %d bytes, error %v; want those from before", result.Code, len(after), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside the archive there are %v, error %v", left, err)
	}

	// Several at once.
	s.MustOkteto("build", "-t", "okteto.dev/several", "--output", filepath.Join(dir, "a, b"), "--output", "type=registry")
	if content, err := os.ReadFile(filepath.Join(dir, "a, b", "kept")); err != nil || string(content) != "content\n" {
		t.Errorf("the folder has %q, error %v", content, err)
	}
	s.get("v2/" + s.CLI.Namespace + "/several/manifests/latest")
}

func archived(t *testing.T, content []byte) []string {
	t.Helper()
	var names []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Errorf("not an archive, after %v: %v", names, err)
			return names
		}
		names = append(names, header.Name)
	}
}

// terminal: BuildKit's display is drawn on a terminal, and cannot be forced where
// there is none.
func (s *stage) terminal(t *testing.T) {
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /drawn\n"})
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	cmd := s.CLI.Command(ctx, "build")
	cmd.Env = append(cmd.Env, "TERM=xterm")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var seen syncBuffer
	_, _ = io.Copy(&seen, tty) // the terminal ends with EIO on Linux
	if err := cmd.Wait(); err != nil || !strings.Contains(seen.String(), "\x1b[") || !strings.Contains(seen.String(), "FINISHED") {
		t.Errorf("on a terminal, %v: %q", err, seen.String())
	}
	if result := s.Okteto(nil, "build", "--progress", "tty"); result.Code != 1 || !strings.Contains(result.Stderr, "--progress plain") {
		t.Errorf("without a terminal: exit code %d: %s", result.Code, result.Stderr)
	}
	if result := s.Okteto(nil, "build"); result.Code != 0 || strings.Contains(result.Stderr, "\x1b[") {
		t.Errorf("without a terminal, exit code %d, and control sequences: %q", result.Code, result.Stderr)
	}
}

// forwardsAgent lets a step use an SSH agent that runs here.
func (s *stage) forwardsAgent(t *testing.T) {
	dir := t.TempDir()
	socket, key := filepath.Join(dir, "agent"), filepath.Join(dir, "key")
	agent := exec.CommandContext(t.Context(), "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer agent.Wait() //nolint:errcheck // it is killed
	defer agent.Process.Kill()
	s.Eventually("the agent", func(context.Context) error { _, err := os.Stat(socket); return err })
	s.command(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a key of the test", "-f", key)
	s.command(t, []string{"SSH_AUTH_SOCK=" + socket}, "ssh-add", "-q", key)

	// ssh-add with what it is linked with, in an image of its own.
	program, err := exec.LookPath("ssh-add")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(libraries(s.command(t, nil, "ldd", program)), program) {
		to := filepath.Join(s.Dir, "root", file)
		if file == program {
			to = filepath.Join(s.Dir, "root", "ssh-add")
		}
		copyProgram(t, file, to)
	}
	s.write(map[string]string{
		"root/etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
		"Dockerfile":      baseDockerfile + "COPY root /\nRUN --mount=type=ssh /ssh-add -l\n",
	})
	s.Env = append(s.Env, "SSH_AUTH_SOCK="+socket)
	result := s.Okteto(nil, "build", "--progress", "plain", "--ssh", "default")
	if result.Code != 0 || !strings.Contains(result.Stderr, "a key of the test") {
		t.Errorf("exit code %d: %s", result.Code, result.Stderr)
	}
	result = s.Okteto(nil, "build", "--progress", "plain", "--ssh", "default="+key, "--no-cache")
	if result.Code != 0 || !strings.Contains(result.Stderr, "ED25519") {
		t.Errorf("with a key file: exit code %d: %s", result.Code, result.Stderr)
	}
	if result = s.Okteto(nil, "build", "--progress", "plain", "--no-cache"); result.Code != 1 {
		t.Errorf("without --ssh: exit code %d: %s", result.Code, result.Stderr)
	}
}

// libraries that ldd lists.
func libraries(list string) []string {
	var files []string
	for _, word := range strings.Fields(list) {
		if strings.HasPrefix(word, "/") {
			files = append(files, word)
		}
	}
	return files
}

func (s *stage) command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// caches begins again on an empty builder with each kind of cache.
func (s *stage) caches(t *testing.T) {
	s.write(map[string]string{"Dockerfile": baseDockerfile + "RUN cat /proc/sys/kernel/random/uuid > /uuid\n", ".dockerignore": "*\n!busybox\n"})
	host := "kube-pod://buildkitd?namespace=" + s.CLI.Namespace
	dir := t.TempDir()
	forget := func() {
		s.command(t, []string{"KUBECONFIG=" + s.CLI.Kubeconfig}, "buildctl", "--addr", host, "prune", "--all")
	}
	for _, c := range []struct {
		name     string
		to, from []string
		hit      bool
	}{
		{"none", nil, nil, false},
		{"registry", []string{"-t", "okteto.dev/cached", "--cache-to", "type=registry,ref=okteto.dev/cache,mode=max"}, []string{"--cache-from", "okteto.dev/cache"}, true},
		{"local", []string{"--cache-to", "type=local,dest=" + dir}, []string{"--cache-from", "type=local,src=" + dir}, true},
		{"inline", []string{"-t", "okteto.dev/inline"}, []string{"--cache-from", "okteto.dev/inline"}, true},
	} {
		forget()
		s.MustOkteto(append([]string{"build"}, c.to...)...)
		forget()
		result := s.Okteto(nil, append([]string{"build", "--progress", "plain"}, c.from...)...)
		if result.Code != 0 {
			t.Errorf("from cache %s: exit code %d: %s", c.name, result.Code, result.Stderr)
		}
		if hit := strings.Contains(result.Stderr, "CACHED"); hit != c.hit {
			t.Errorf("from cache %s: a step is cached: %v, want %v:\n%s", c.name, hit, c.hit, result.Stderr)
		}
	}
	s.MustOkteto("build")
	if result := s.Okteto(nil, "build", "--progress", "plain", "--no-cache"); result.Code != 0 || strings.Contains(result.Stderr, "CACHED") {
		t.Errorf("--no-cache: exit code %d: %s", result.Code, result.Stderr)
	}
	if result := s.Okteto(nil, "build", "--cache-from", "okteto.dev/there-is-none"); result.Code != 0 {
		t.Errorf("a cache that is not there: exit code %d: %s", result.Code, result.Stderr)
	}
}
