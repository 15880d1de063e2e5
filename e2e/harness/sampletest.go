package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"okteto/internal/contract"
	"okteto/internal/testkit/proxy"
)

// SampleTest is a Test with the sample application.
type SampleTest struct {
	*Test
	*Sample
}

// NewSample makes a namespace and deploys the sample in it.
func NewSample(t testing.TB, labels map[string]string) *SampleTest {
	t.Helper()
	test := New(t, labels)
	sample, err := test.DeploySample(t.Context(), test.CLI)
	if err != nil {
		t.Fatal(err)
	}
	return &SampleTest{Test: test, Sample: sample}
}

// ThroughProxy makes this laptop reach the API server through a proxy.
func (s *SampleTest) ThroughProxy() *proxy.Proxy {
	s.Helper()
	direct := s.Test.CLI.Kubeconfig
	way, err := PutProxyBetween(s.CLI, s.TempDir())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { // before the namespace's own clean-up
		s.CLI.Kubeconfig = direct
		way.Close()
	})
	return way
}

// MustRewrite is Rewrite.
func (s *SampleTest) MustRewrite(name, pattern, by string) {
	s.Helper()
	if err := s.Rewrite(name, pattern, by); err != nil {
		s.Fatal(err)
	}
}

// MustSay is Say.
func (s *SampleTest) MustSay(text string) {
	s.Helper()
	if err := s.Say(text); err != nil {
		s.Fatal(err)
	}
}

// Serves waits until the application says text.
func (s *SampleTest) Serves(text string) {
	s.Helper()
	s.must(func(ctx context.Context) error { return s.WaitSaid(ctx, text) })
}

// EditServed edits the application so that it says text, and waits until it does:
// files, forward and command all work.
func (s *SampleTest) EditServed(text string) {
	s.Helper()
	s.MustSay(text)
	s.Serves(text)
}

// MustDevPod is DevPod.
func (s *SampleTest) MustDevPod() (pod *corev1.Pod) {
	s.Helper()
	s.must(func(ctx context.Context) (err error) {
		pod, err = s.DevPod(ctx)
		return err
	})
	return pod
}

// Restored waits until the application is as it was deployed, and nothing else is
// left.
func (s *SampleTest) Restored() {
	s.Helper()
	s.must(s.WaitRestored)
}

// Reaches waits for a state of the state file.
func (s *SampleTest) Reaches(state string) {
	s.Helper()
	s.Eventually("state "+state, func(context.Context) error {
		content, err := os.ReadFile(s.StateFile(contract.StateFile))
		if err == nil && string(content) != state {
			err = fmt.Errorf("it is %s", content)
		}
		return err
	})
}

// UpPID is the process of the running up.
func (s *SampleTest) UpPID() int {
	s.Helper()
	content, err := os.ReadFile(s.StateFile(contract.PIDFile))
	if err != nil {
		s.Fatal(err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		s.Fatal(err)
	}
	return pid
}

func (s *SampleTest) must(do func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeoutCause(s.Context(), Timeout, errors.New("it took too long"))
	defer cancel()
	if err := do(ctx); err != nil {
		s.Fatal(err)
	}
}
