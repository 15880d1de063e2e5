// Package logs is `okteto logs`.
package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"okteto/cli/attach"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/cli/up"
	"okteto/internal/contract"
)

// followPeriod is how often a followed file is looked at.
const followPeriod = 200 * time.Millisecond

type flags struct {
	target.Flags
	follow             bool
	tail               int64
	command, sync, pod bool
}

// NewCommand returns `okteto logs`.
func NewCommand(streams ui.Streams) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "logs [NAME]",
		Short: "Show what okteto up, its command, or the pod has logged",
		Long: `Shows the log of okteto up on this machine, or one of:

  --command  what the command of okteto up --detach printed
  --sync     the log of the file synchronization
  --pod      the log of the development container, where the agents write`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return run(cmd.Context(), streams, f, name)
		},
	}
	set := cmd.Flags()
	f.Add(set)
	set.BoolVar(&f.follow, "follow", false, "go on with what is logged from now on")
	set.Int64Var(&f.tail, "tail", 100, "lines from the end; 0 for all")
	set.BoolVar(&f.command, "command", false, "what the command of a detached up printed")
	set.BoolVar(&f.sync, "sync", false, "the log of the file synchronization")
	set.BoolVar(&f.pod, "pod", false, "the log of the development container")
	cmd.MarkFlagsMutuallyExclusive("command", "sync", "pod")
	cmd.ValidArgsFunction = f.Complete
	return cmd
}

func run(ctx context.Context, streams ui.Streams, f flags, name string) error {
	if f.tail < 0 {
		return &ui.Problem{Summary: fmt.Sprintf("--tail %d is not a number of lines", f.tail), Hint: "0 shows all"}
	}
	t, err := f.Resolve(name)
	if err != nil {
		return err
	}
	if f.pod {
		return fromPod(ctx, streams, f, t)
	}
	env, err := t.State()
	if err != nil {
		return err
	}
	file := contract.LogFile
	switch {
	case f.command:
		file = up.CommandLogFile
	case f.sync:
		file = contract.SyncthingLogFile
	}
	return fromFile(ctx, streams.Out, env.Path(file), f)
}

func fromFile(ctx context.Context, w io.Writer, path string, f flags) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &ui.Problem{Summary: "there is no such log", Detail: path, Hint: "okteto up writes it"}
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if _, err := w.Write(last(content, f.tail)); err != nil || !f.follow {
		return err
	}
	ticker := time.NewTicker(followPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := io.Copy(w, file); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
}

// last returns the last n lines, all if n is 0.
func last(content []byte, n int64) []byte {
	if n == 0 {
		return content
	}
	end := len(bytes.TrimRight(content, "\n"))
	for at := end; at > 0; {
		at = bytes.LastIndexByte(content[:at], '\n')
		if n--; n == 0 {
			return content[at+1:]
		}
		if at < 0 {
			break
		}
	}
	return content
}

func fromPod(ctx context.Context, streams ui.Streams, f flags, t *target.Target) error {
	pod, err := attach.FindPod(ctx, t)
	if err != nil {
		return err
	}
	options := &corev1.PodLogOptions{Container: pod.Container, Follow: f.follow}
	if f.tail > 0 {
		options.TailLines = &f.tail
	}
	log, err := t.Client.Clientset.CoreV1().Pods(t.Client.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return t.Client.Explain(err, "read the log of pod "+pod.Name)
	}
	defer log.Close()
	if _, err := io.Copy(streams.Out, log); err != nil && ctx.Err() == nil {
		return t.Client.Explain(err, "read the log of pod "+pod.Name)
	}
	return nil
}
