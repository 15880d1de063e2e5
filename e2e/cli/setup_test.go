//go:build e2e

// Package cli tests that okteto stays attached: the pod goes, the network goes,
// the program itself is killed, and work goes on.
package cli

import (
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
