//go:build e2e

package pipeline

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	registryUser     = "ann"
	registryPassword = "pass-word-of-ann-8642"
)

// helper is a credential helper (docker/docker-credential-helpers), which writes
// down how it was called.
const helper = `#!/bin/sh
printf '%%s\n' "$*" >> %[1]s/calls
read -r server
[ "$server" = "%[2]s" ] || { echo "credentials not found in native keychain"; exit 1; }
printf '{"ServerURL": "%%s", "Username": "%[3]s", "Secret": "%[4]s"}\n' "$server"
`

// TestBuildLogin pushes to a registry that wants a password, which comes from
// Docker's configuration or a helper, and stays nowhere.
func TestBuildLogin(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.buildkit()
	guarded := s.guardedRegistry()
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	helpers, config := t.TempDir(), t.TempDir()
	program := fmt.Sprintf(helper, helpers, guarded, registryUser, registryPassword)
	if err := os.WriteFile(filepath.Join(helpers, "docker-credential-e2e"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "DOCKER_CONFIG="+config, "PATH="+helpers+string(os.PathListSeparator)+os.Getenv("PATH"))
	basic := func(password string) string {
		return base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + password))
	}
	var output strings.Builder
	for i, c := range []struct {
		name, config string
		fails        bool
	}{
		{"nothing", `{}`, true},
		{"a wrong password", fmt.Sprintf(`{"auths": {"%s": {"auth": "%s"}}}`, guarded, basic("guess")), true},
		{"auths", fmt.Sprintf(`{"auths": {"%s": {"auth": "%s"}}}`, guarded, basic(registryPassword)), false},
		{"a helper of the registry", fmt.Sprintf(`{"credHelpers": {"%s": "e2e"}}`, guarded), false},
		{"a helper of all", `{"credsStore": "e2e"}`, false},
		{"a helper that is not there", fmt.Sprintf(`{"credHelpers": {"%s": "absent"}}`, guarded), true},
	} {
		if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		result := s.Okteto(nil, "build", "--progress", "plain", "-t", fmt.Sprintf("%s/app:%d", guarded, i))
		output.WriteString(result.Stdout + result.Stderr)
		switch {
		case c.fails && (result.Code != 1 || !strings.Contains(result.Stderr, "docker login")):
			t.Errorf("with %s: exit code %d: %s", c.name, result.Code, result.Stderr)
		case !c.fails && (result.Code != 0 || !strings.Contains(result.Stdout, guarded+"/app@sha256:")):
			t.Errorf("with %s: exit code %d: %s", c.name, result.Code, result.Stderr)
		}
	}
	// The base image is pulled with them, too.
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"credsStore": "e2e"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(map[string]string{"Dockerfile": "FROM " + guarded + "/app:2\nCOPY Dockerfile /again\n"})
	s.MustOkteto("build")

	calls, err := os.ReadFile(filepath.Join(helpers, "calls"))
	if err != nil || !strings.Contains(string(calls), "get") {
		t.Errorf("the helper was called with %q, error %v", calls, err)
	}
	inBuilder := func(script string) string { return s.kubectl("exec", "buildkitd", "--", "sh", "-c", script) }
	for place, content := range map[string]string{
		"what the commands printed":      output.String(),
		"what the helper was given":      string(calls),
		"the builder's log":              s.kubectl("logs", "buildkitd"),
		"the namespace's objects":        s.kubectl("get", "pods,configmaps,events,jobs", "-o", "yaml"),
		"a process of the builder's pod": inBuilder("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true"),
	} {
		if strings.Contains(content, registryPassword) || strings.Contains(content, basic(registryPassword)) {
			t.Errorf("the password is in %s: %s", place, content)
		}
	}
	if files := inBuilder("grep -rl -e '" + registryPassword + "' -e '" + basic(registryPassword) + "' /cache /etc /root /tmp /run; true"); files != "" {
		t.Errorf("the password is in files of the builder: %s", files)
	}
	if files := inBuilder("grep -rl 'FROM scratch' /cache"); files == "" {
		t.Error("the search finds nothing of the build, and proves nothing")
	}
}

// guardedRegistry is one with a password, and returns its name for nodes.
func (s *stage) guardedRegistry() string {
	s.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(registryPassword), bcrypt.MinCost)
	if err != nil {
		s.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "guarded"}, StringData: map[string]string{"htpasswd": registryUser + ":" + string(hash) + "\n"}}
	if _, err := s.Client.CoreV1().Secrets(s.CLI.Namespace).Create(s.Context(), secret, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	pod := s.pod("guarded", "registry", "serve", "/etc/registry.yml")
	pod.Spec.Volumes = []corev1.Volume{{Name: "auth", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "guarded"}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "auth", MountPath: "/auth"}}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{
		{Name: "REGISTRY_AUTH", Value: "htpasswd"},
		{Name: "REGISTRY_AUTH_HTPASSWD_REALM", Value: "guarded"},
		{Name: "REGISTRY_AUTH_HTPASSWD_PATH", Value: "/auth/htpasswd"},
	}
	s.create(pod)
	name := s.expose("guarded")
	s.ready("guarded")
	return name
}
