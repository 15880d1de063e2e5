//go:build e2e

package workload

import (
	"bytes"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"okteto/e2e/harness"
)

// run runs a command in a container and returns what it printed.
func (s *space) run(pod, container string, command ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Timeout)
	defer cancel()
	request := s.Client.CoreV1().RESTClient().Post().Namespace(s.Namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(s.Config, "POST", request.URL())
	if err != nil {
		s.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		s.Fatalf("%v in %s: %v: %s", command, pod, err, stderr.String())
	}
	return stdout.String()
}
