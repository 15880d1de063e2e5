//go:build e2e

package pipeline

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"okteto/e2e/harness"
)

// serverName is in the certificate of TestBuildkitHost's builder.
const serverName = "builder.example.com"

// TestBuildkitHost builds with a builder outside the cluster, over each way that
// this machine has to it, and with TLS in both directions.
func TestBuildkitHost(t *testing.T) {
	t.Parallel()
	s := &stage{Test: harness.New(t, nil)}
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	shared := t.TempDir()
	certificates(t, shared)
	container := s.docker("run", "--detach", "--privileged", "--publish", "127.0.0.1::1234", "--volume", shared+":/shared", image,
		"buildkitd", "--root", "/cache", "--addr", "unix:///run/buildkit/buildkitd.sock",
		"--addr", "unix:///shared/buildkitd.sock", "--addr", "tcp://0.0.0.0:1234",
		"--tlscacert", "/shared/ca.pem", "--tlscert", "/shared/server.pem", "--tlskey", "/shared/server-key.pem")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", "--volumes", container).Run() })
	tcp := "tcp://" + s.docker("port", container, "1234")
	s.Env = append(s.Env, "BUILDKIT_HOST=docker-container://"+container)
	s.Eventually("the builder to answer", func(ctx context.Context) error {
		_, err := s.CLI.Succeed(ctx, "build")
		return err
	})

	client := []string{"--tlscert", filepath.Join(shared, "cert.pem"), "--tlskey", filepath.Join(shared, "key.pem")}
	ca := []string{"--tlscacert", filepath.Join(shared, "ca.pem")}
	named := []string{"--tlsservername", serverName}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, c := range []struct {
		name, host string
		env, args  []string
		// want is what the error says, "" if there is none.
		want []string
	}{
		{name: "unix", host: "unix://" + shared + "/buildkitd.sock"},
		{name: "folder", host: tcp, args: append([]string{"--tlsdir", shared}, named...)},
		{name: "files", host: tcp, args: slices.Concat(client, ca, named)},
		{name: "environment", host: tcp, env: []string{"BUILDKIT_TLS_DIR=" + shared, "BUILDKIT_TLS_SERVERNAME=" + serverName}},
		{name: "environment, for another host", host: "unix://" + shared + "/buildkitd.sock", env: []string{"BUILDKIT_TLS_DIR=" + shared}},
		{name: "without TLS", host: tcp, want: []string{"cannot reach the builder of BUILDKIT_HOST at " + tcp, "--tlsdir"}},
		{name: "another authority", host: tcp, args: slices.Concat(client, named, []string{"--tlscacert", filepath.Join(shared, "other.pem")}), want: []string{"signed by another authority", "--tlscacert"}},
		{name: "the system's authorities", host: tcp, args: slices.Concat(client, named), want: []string{"signed by another authority"}},
		{name: "another name", host: tcp, args: slices.Concat(client, ca), want: []string{"--tlsservername"}},
		{name: "no client certificate", host: tcp, args: slices.Concat(ca, named), want: []string{"does not accept this client", "--tlscert"}},
		{name: "TLS to who has none", host: strings.Replace(plain.URL, "http", "tcp", 1), args: slices.Concat(client, ca), want: []string{"does not speak TLS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			laptop := *s.CLI
			laptop.Env = append(append(laptop.Env[:len(laptop.Env):len(laptop.Env)], c.env...), "BUILDKIT_HOST="+c.host)
			dir := t.TempDir()
			result, err := laptop.Run(t.Context(), nil, append([]string{"build", "--progress", "plain", "--output", dir}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.want) == 0 {
				if _, err := os.Stat(filepath.Join(dir, "Dockerfile")); err != nil || result.Code != 0 {
					t.Errorf("exit code %d, result %v: %s", result.Code, err, result.Stderr)
				}
				return
			}
			for _, want := range c.want {
				if result.Code != 1 || !strings.Contains(result.Stderr, want) {
					t.Errorf("exit code %d, want 1 and %q: %s", result.Code, want, result.Stderr)
				}
			}
		})
	}
	t.Run("restart", func(t *testing.T) { s.restarts(t, container) })
}

// restarts the builder in the middle of a build, which waits for it.
func (s *stage) restarts(t *testing.T, container string) {
	s.copyBusybox()
	s.write(map[string]string{"Dockerfile": baseDockerfile + "RUN sleep 3\n"})
	b := s.background("build", "--progress", "plain")
	s.says(b, "RUN sleep 3")
	s.docker("restart", "--time", "0", container)
	if code := s.code(b); code != 0 || !strings.Contains(b.output.String(), "the builder went away") {
		t.Errorf("exit code %d: %s", code, b.output)
	}
}

func (s *stage) docker(args ...string) string {
	s.Helper()
	out, err := exec.CommandContext(s.Context(), "docker", args...).Output()
	if err != nil {
		s.Fatalf("docker %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// certificates puts two authorities, ca.pem and other.pem, into a folder, and what
// the first signed: the builder's, and the client's cert.pem and key.pem.
func certificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey, cert, key string) *ecdsa.PrivateKey {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = private
		}
		template.Subject = pkix.Name{CommonName: cert}
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		write(cert, "CERTIFICATE", der)
		if key != "" {
			pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
			if err != nil {
				t.Fatal(err)
			}
			write(key, "PRIVATE KEY", pkcs8)
		}
		return private
	}
	authority := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	other := *authority
	issue(&other, &other, nil, "other.pem", "")
	signer := issue(authority, authority, nil, "ca.pem", "")
	issue(&x509.Certificate{DNSNames: []string{serverName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, authority, signer, "server.pem", "server-key.pem")
	issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, authority, signer, "cert.pem", "key.pem")
}
