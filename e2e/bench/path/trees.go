package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"okteto/internal/contract"
	"okteto/internal/testkit/tree"
)

// What the original took for a burst of 3,000 files while up runs.
const originalBurst = 10400 * time.Millisecond

const (
	treeRounds = 3
	burst      = 3000
)

// trees measures what grows with the number of files: the first synchronization
// beside tar over kubectl exec, a restart with nothing changed, a burst, and saves
// in a large tree.
func (e *environment) trees(ctx context.Context, out io.Writer, o options) error {
	folder := filepath.Join(e.laptop, "tree")
	var empty, restartEmpty sample
	if err := e.rounds(ctx, &empty, &restartEmpty, nil, nil, nil); err != nil {
		return err
	}
	small, err := e.saves(ctx, o.saves)
	if err != nil {
		return err
	}
	if err := e.down(ctx); err != nil {
		return err
	}

	if err := tree.Generate(folder, tree.Spec{Files: o.files, Seed: 1}); err != nil {
		return err
	}
	var full, restartFull, there, verified, tar sample
	if err := e.rounds(ctx, &full, &restartFull, &there, &verified, func() error {
		took, err := e.tar(ctx, folder)
		tar = append(tar, took)
		return err
	}); err != nil {
		return err
	}
	reference := tar.quantile(0.5)
	line := func(what string, took, than time.Duration, note string) {
		fmt.Fprintf(out, "%-58s %10s   %.2f x %s\n", fmt.Sprintf("%d files: %s", o.files, what), ms(took), took.Seconds()/than.Seconds(), note)
	}
	line("tar | kubectl exec tar", reference, reference, "itself")
	line("first synchronization, all there", there.quantile(0.5), reference, "tar (gate 2)")
	line("first synchronization, verified equal", verified.quantile(0.5), reference, "tar (gate 5)")
	line("up to ready, over an empty tree", full.quantile(0.5)-empty.quantile(0.5), reference, "tar")
	fmt.Fprintf(out, "%-58s %10s   gate 3 s; an empty tree takes %s\n", fmt.Sprintf("%d files: restart of up, over an empty tree", o.files),
		ms(restartFull.quantile(0.5)-restartEmpty.quantile(0.5)), ms(restartEmpty.quantile(0.5)))

	if err := e.down(ctx); err != nil {
		return err
	}
	if err := tree.Generate(filepath.Join(folder, "more"), tree.Spec{Files: o.large - o.files, Seed: 2}); err != nil {
		return err
	}
	if err := e.start(ctx); err != nil {
		return err
	}
	large, err := e.saves(ctx, o.saves)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "save to pod, p50/p95: a tiny tree %s/%s, %d files %s/%s; p50 %.2f x (gate 1.5)\n",
		ms(small.quantile(0.5)), ms(small.quantile(0.95)), o.large, ms(large.quantile(0.5)), ms(large.quantile(0.95)),
		large.quantile(0.5).Seconds()/small.quantile(0.5).Seconds())
	return e.bursts(ctx, out)
}

func (e *environment) saves(ctx context.Context, n int) (sample, error) {
	return series(ctx, e.laptop, e.pod, plain, n)
}

// rounds brings up up several times anew, restarts it each time, and leaves it up.
func (e *environment) rounds(ctx context.Context, fresh, restart, there, verified *sample, between func() error) error {
	for i := range treeRounds {
		if i > 0 {
			if err := e.down(ctx); err != nil {
				return err
			}
		}
		if err := e.start(ctx); err != nil {
			return err
		}
		*fresh = append(*fresh, e.up)
		if there != nil {
			a, b, err := e.synchronized()
			if err != nil {
				return err
			}
			*there, *verified = append(*there, a), append(*verified, b)
		}
		if between != nil {
			if err := between(); err != nil {
				return err
			}
		}
		if err := e.endUp(ctx); err != nil {
			return err
		}
		if err := e.start(ctx); err != nil {
			return err
		}
		*restart = append(*restart, e.up)
	}
	return nil
}

// logged matches a line of up's log.
var logged = regexp.MustCompile(`^time=(\S+) level=\S+ msg=("[^"]*"|\S+)(.*)$`)

// synchronized reads from up's log how long the first synchronization took, from
// the connection until all files were there, and until both sides were equal.
func (e *environment) synchronized() (there, verified time.Duration, err error) {
	content, err := os.ReadFile(e.sample.StateFile(contract.LogFile))
	if err != nil {
		return 0, 0, err
	}
	at := map[string]time.Time{}
	for line := range strings.Lines(string(content)) {
		if m := logged.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			name := m[2]
			if name == "connected" {
				name += m[3]
			}
			if at[name], err = time.Parse(time.RFC3339Nano, m[1]); err != nil {
				return 0, 0, err
			}
		}
	}
	begin, seeded, equal := at["connected conn=bulk"], at["seeded"], at["synchronized"]
	if begin.IsZero() || seeded.Before(begin) || equal.Before(seeded) {
		return 0, 0, errors.New("up's log does not tell when the files were there")
	}
	return seeded.Sub(begin), equal.Sub(begin), nil
}

// endUp ends up and leaves the environment.
func (e *environment) endUp(ctx context.Context) error {
	content, err := os.ReadFile(e.sample.StateFile(contract.PIDFile))
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(content), &pid); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// tar sends the tree as one would without any of this.
func (e *environment) tar(ctx context.Context, folder string) (time.Duration, error) {
	pod, err := e.sample.DevPod(ctx)
	if err != nil {
		return 0, err
	}
	kubectl := filepath.Join(e.cluster.Root, ".cluster", "bin", "kubectl")
	script := `tar c -C "$1" . | "$2" --kubeconfig "$3" -n "$4" exec -i "$5" -- sh -c 'mkdir -p /tmp/tree && tar x -C /tmp/tree'`
	start := time.Now()
	output, err := exec.CommandContext(ctx, "sh", "-c", script, "sh", folder, kubectl, e.cluster.Kubeconfig, namespace, pod.Name).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("tar into the pod: %w: %s", err, output)
	}
	return time.Since(start), nil
}

// bursts measures many small files at once while up runs. They stay: to delete them
// all at once would stop the folder.
func (e *environment) bursts(ctx context.Context, out io.Writer) error {
	var took sample
	for i := range treeRounds {
		name := fmt.Sprintf("burst-%d", i)
		start := time.Now()
		if err := tree.Generate(filepath.Join(e.laptop, name), tree.Spec{Files: burst, Seed: uint64(i)}); err != nil {
			return err
		}
		if _, err := e.cli.Succeed(ctx, "wait"); err != nil {
			return err
		}
		took = append(took, time.Since(start))
		diff, err := tree.Compare(filepath.Join(e.laptop, name), filepath.Join(e.pod, name))
		if err != nil {
			return err
		}
		if len(diff) > 0 {
			return fmt.Errorf("after a burst the pod differs: %v", diff[:min(3, len(diff))])
		}
	}
	median := took.quantile(0.5)
	fmt.Fprintf(out, "burst of %d files, written and all there: %s; original %s, ratio %.2f (gate 0.35)\n",
		burst, ms(median), ms(originalBurst), median.Seconds()/originalBurst.Seconds())
	return nil
}
