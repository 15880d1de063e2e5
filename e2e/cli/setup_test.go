//go:build e2e

// Package cli tests that okteto stays attached: the pod goes, the network goes,
// the program itself is killed, and work goes on.
package cli

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"okteto/e2e/harness"
	"okteto/internal/testkit/proxy"
)

// laptop is a developer at work on the sample application.
type laptop struct {
	*harness.SampleTest
	// way is between this laptop and the API server.
	way *proxy.Proxy
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	s := harness.NewSample(t, nil)
	return &laptop{SampleTest: s, way: s.ThroughProxy()}
}

// background is a context for what is done when the test's own has ended.
func (l *laptop) background() context.Context {
	return context.WithoutCancel(l.Context())
}

// awaitListening reads until a program says on which port it listens.
func awaitListening(t *testing.T, output io.Reader) string {
	t.Helper()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "listeningOn=="); ok {
			port, _, _ := strings.Cut(after, "==")
			return port
		}
	}
	t.Fatalf("the program does not listen: %v", lines.Err())
	return ""
}
