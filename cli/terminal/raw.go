package terminal

import (
	"fmt"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"

	"okteto/cli/kube"
	"okteto/cli/ui"
)

// Raw puts the local terminal into raw mode for a command that runs through the
// Kubernetes API, and follows its size. Both streams must be terminals.
func Raw(streams ui.Streams) (restore func(), sizes kube.Sizes, err error) {
	in, _ := ui.Terminal(streams.In)
	out, ok := ui.Terminal(streams.Out)
	if in == nil || !ok {
		return func() {}, nil, nil
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	changed, stop := sizeChanges()
	queue := &sizeQueue{
		size: func() *remotecommand.TerminalSize {
			columns, rows, err := term.GetSize(int(out.Fd()))
			if err != nil {
				return nil
			}
			return &remotecommand.TerminalSize{Width: uint16(columns), Height: uint16(rows)}
		},
		done: make(chan struct{}),
	}
	queue.wait = func() bool {
		select {
		case <-changed:
			return true
		case <-queue.done:
			return false
		}
	}
	return func() {
		stop()
		close(queue.done)
		_ = term.Restore(int(in.Fd()), state)
	}, queue, nil
}

type sizeQueue struct {
	size  func() *remotecommand.TerminalSize
	wait  func() bool
	done  chan struct{}
	later bool
}

// Next returns the size at first, and then whenever it may have changed; nil is
// the end.
func (q *sizeQueue) Next() *remotecommand.TerminalSize {
	if q.later && !q.wait() {
		return nil
	}
	q.later = true
	return q.size()
}
