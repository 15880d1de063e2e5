package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"okteto/cli/ui"
)

// ExecOptions of a command run through the Kubernetes exec API.
type ExecOptions struct {
	Pod, Container string
	Command        []string
	// TTY asks for a terminal; then Streams.ErrOut gets nothing.
	TTY     bool
	Streams ui.Streams
	// Sizes, if not nil, gives the terminal's size whenever it changes.
	Sizes Sizes
}

// Sizes are a terminal's size and its changes.
type Sizes = remotecommand.TerminalSizeQueue

// Exec runs a command in a container and returns its exit code.
func (c *Client) Exec(ctx context.Context, o ExecOptions) (int, error) {
	request := c.Clientset.CoreV1().Pods(c.Namespace).Exec(o.Pod, &corev1.PodExecOptions{
		Container: o.Container, Command: o.Command, TTY: o.TTY,
		Stdin: o.Streams.In != nil, Stdout: o.Streams.Out != nil, Stderr: o.Streams.ErrOut != nil && !o.TTY,
	})
	webSocket, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", request.URL().String())
	if err != nil {
		return 0, fmt.Errorf("prepare exec: %w", err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, "POST", request.URL())
	if err != nil {
		return 0, fmt.Errorf("prepare exec: %w", err)
	}
	executor, err := remotecommand.NewFallbackExecutor(webSocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return 0, fmt.Errorf("prepare exec: %w", err)
	}
	options := remotecommand.StreamOptions{
		Stdin: o.Streams.In, Stdout: o.Streams.Out, Tty: o.TTY, TerminalSizeQueue: o.Sizes,
	}
	if !o.TTY {
		options.Stderr = o.Streams.ErrOut
	}
	err = executor.StreamWithContext(ctx, options)
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.Code, nil
	}
	return 0, c.Explain(err, "run a command in pod "+o.Pod)
}
