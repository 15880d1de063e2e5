package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"okteto/internal/contract"
)

// Timeout of a condition in a test: far above what it takes, so that only a
// condition that never comes true fails.
const Timeout = 2 * time.Minute

// Test is one test's share of the cluster: a namespace and a developer.
type Test struct {
	testing.TB
	*Cluster
	*CLI
	Namespace string
}

// New connects to the cluster and makes a namespace for the test, which is
// removed at its end; a failed test leaves its pods' logs, events and CLI logs
// in the artifacts folder.
func New(t testing.TB, labels map[string]string) *Test {
	t.Helper()
	cluster, err := Connect()
	if err != nil {
		t.Fatal(err)
	}
	name := namespaceName(t.Name())
	if err := cluster.CreateNamespace(t.Context(), name, labels); err != nil {
		t.Fatal(err)
	}
	test := &Test{TB: t, Cluster: cluster, CLI: cluster.NewCLI(t.TempDir(), t.TempDir(), name), Namespace: name}
	t.Cleanup(test.cleanup)
	return test
}

func namespaceName(test string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(test))
	suffix := make([]byte, 3)
	rand.Read(suffix) // never fails: crypto/rand
	return "e2e-" + strings.Trim(clean[:min(len(clean), 40)], "-") + "-" + hex.EncodeToString(suffix)
}

func (t *Test) cleanup() {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	if t.Failed() {
		t.collect(ctx)
	}
	// A detached up must not outlive its test, whatever state it is in. Without a
	// manifest there was none.
	if _, err := os.Stat(filepath.Join(t.Dir, contract.ManifestFile)); err == nil {
		if result, err := t.CLI.Run(ctx, nil, "down", "--all"); err != nil || result.Code != 0 {
			t.Logf("down at the end: %v, exit code %d: %s", err, result.Code, result.Stderr)
		}
	}
	if err := t.DeleteNamespace(ctx, t.Namespace); err != nil {
		t.Log(err)
	}
}

// Eventually fails the test when check does not return nil in time.
func (t *Test) Eventually(what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	if err := Wait(ctx, what, check); err != nil {
		t.Fatal(err)
	}
}

// Okteto runs a command and fails the test if it cannot be run; the exit code
// is the caller's to judge.
func (t *Test) Okteto(stdin io.Reader, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	result, err := t.CLI.Run(ctx, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// MustOkteto runs a command that has to succeed and returns its output.
func (t *Test) MustOkteto(args ...string) string {
	t.Helper()
	result := t.Okteto(nil, args...)
	if result.Code != 0 {
		t.Fatalf("okteto %s: exit code %d\n%s%s", strings.Join(args, " "), result.Code, result.Stdout, result.Stderr)
	}
	return result.Stdout
}
