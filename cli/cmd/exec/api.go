package exec

import (
	"context"
	"fmt"
	"io"
	"strings"

	"okteto/cli/attach"
	"okteto/cli/kube"
	"okteto/cli/target"
	"okteto/cli/terminal"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

// Exit codes of a command that did not start, as shells have them (POSIX, Shell
// Command Language 2.8.2).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// overAPI runs a command through the Kubernetes exec API, which needs no SSH
// server in the pod but forgets a command when its connection is lost.
func overAPI(ctx context.Context, streams ui.Streams, t *target.Target, command []string, tty bool) error {
	pod, err := attach.FindPod(ctx, t)
	if err != nil {
		return err
	}
	argv := command
	switch {
	case len(command) == 0:
		argv = []string{"sh"}
	case len(command) == 1 && strings.ContainsAny(command[0], " \t|&;<>$"):
		argv = []string{"sh", "-c", command[0]}
	}
	restore := func() {}
	var sizes kube.Sizes
	if tty {
		if restore, sizes, err = terminal.Raw(streams); err != nil {
			return err
		}
	}
	defer restore()
	code, err := t.Client.Exec(ctx, kube.ExecOptions{
		Pod: pod.Name, Container: pod.Container, Command: argv, TTY: tty, Streams: streams, Sizes: sizes,
	})
	switch {
	case err == nil && code != 0:
		return &ui.ExitError{Code: code}
	case err != nil && ctx.Err() == nil && !kube.Unreachable(err):
		return notStarted(ctx, t.Client, pod, argv[0], err)
	}
	return err
}

// startable is a script that ends with the shell's exit code for a program, its first
// argument, that is not there or may not be executed, and else with 0.
const startable = `
case $1 in
*/*) [ -e "$1" ] || exit 127; [ -f "$1" ] && [ -x "$1" ] || exit 126; exit 0;;
esac
code=127 IFS=:
for dir in $PATH; do
  [ -f "$dir/$1" ] || continue
  [ -x "$dir/$1" ] && exit 0
  code=126
done
exit $code`

// notStarted is what became of a command that failed with err before it had an exit
// code. The API has only a container runtime's own words for why, so the container
// is asked: with its shell, or with the one that the agents bring.
func notStarted(ctx context.Context, client *kube.Client, pod *attach.Pod, program string, err error) error {
	for _, shell := range [][]string{{"sh"}, {contract.Busybox, "sh"}} {
		code, askErr := client.Exec(ctx, kube.ExecOptions{
			Pod: pod.Name, Container: pod.Container, Command: append(shell, "-c", startable, "sh", program),
			Streams: ui.Streams{Out: io.Discard, ErrOut: io.Discard},
		})
		switch {
		case askErr != nil:
			continue // there is no such shell
		case code == exitNotFound:
			return &ui.Problem{
				Summary: fmt.Sprintf("there is no program %s in the container", program), Code: code, Cause: err,
				Detail: "looked for it in container " + pod.Container + " of pod " + pod.Name,
				Hint:   "check its name, and that the image has it",
			}
		case code == exitNotExecutable:
			return &ui.Problem{
				Summary: fmt.Sprintf("%s cannot be executed in the container", program), Code: code, Cause: err,
				Detail: "it is no program, or its mode does not allow it",
				Hint:   "make it executable (chmod +x), or run it with its interpreter",
			}
		}
		return err
	}
	return err
}
