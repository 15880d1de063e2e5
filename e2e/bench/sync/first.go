package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"okteto/internal/seed"
	"okteto/internal/testkit/tree"
)

// first measures a first synchronization of many small files, side by side with
// tar and rsync, and a restart.
func first(ctx context.Context, w io.Writer, o Options, base string) error {
	laptop := filepath.Join(base, "first")
	if err := tree.Generate(laptop, tree.Spec{Files: o.Files, Seed: 1}); err != nil {
		return err
	}
	results := map[string]figures{}
	order := []string{"tar", "rsync", "seed: all there", "seed, then verified equal", "engine alone", "restart, nothing changed"}
	for round := range o.Rounds {
		pod := func(name string) string { return filepath.Join(base, fmt.Sprintf("%s-%d", name, round)) }
		add := func(name string, took time.Duration, err error) error {
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			results[name] = append(results[name], took)
			return nil
		}
		took, err := shell(ctx, fmt.Sprintf("mkdir %[2]s && tar c -C %[1]s . | tar x -C %[2]s", laptop, pod("tar")))
		if err := add("tar", took, err); err != nil {
			return err
		}
		if _, err := exec.LookPath("rsync"); err == nil {
			took, err := shell(ctx, fmt.Sprintf("rsync -a %s/ %s", laptop, pod("rsync")))
			if err := add("rsync", took, err); err != nil {
				return err
			}
		}
		if err := seeded(ctx, laptop, pod("seeded"), add); err != nil {
			return err
		}
		if err := unseeded(ctx, laptop, pod("engine"), add); err != nil {
			return err
		}
		for _, name := range []string{"tar", "rsync", "seeded", "engine"} {
			for _, suffix := range []string{"", ".base"} {
				if err := os.RemoveAll(pod(name) + suffix); err != nil {
					return err
				}
			}
		}
	}
	reference := results["tar"].at(50)
	for _, name := range order {
		if f := results[name]; len(f) > 0 {
			f.print(w, fmt.Sprintf("%d files, %s", o.Files, name), fmt.Sprintf("%.2f x tar", float64(f.at(50))/float64(reference)))
		}
	}
	return nil
}

func shell(ctx context.Context, script string) (time.Duration, error) {
	start := time.Now()
	out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return time.Since(start), nil
}

func seeded(ctx context.Context, laptop, pod string, add func(string, time.Duration, error) error) error {
	start := time.Now()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- seed.Serve(ctx, far) }()
	_, err := seed.Send(ctx, near, []seed.Folder{{LocalPath: laptop, RemotePath: pod, LocalWins: true}}, nil)
	near.Close()
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	if err := add("seed: all there", time.Since(start), err); err != nil {
		return err
	}
	if err := equalPair(ctx, laptop, pod); err != nil {
		return err
	}
	if err := add("seed, then verified equal", time.Since(start), nil); err != nil {
		return err
	}
	start = time.Now()
	err = equalPair(ctx, laptop, pod)
	return add("restart, nothing changed", time.Since(start), err)
}

func unseeded(ctx context.Context, laptop, pod string, add func(string, time.Duration, error) error) error {
	start := time.Now()
	err := equalPair(ctx, laptop, pod)
	return add("engine alone", time.Since(start), err)
}

// equalPair starts two engines, waits until they are equal, and stops them. The
// databases stay in pod.base.
func equalPair(ctx context.Context, laptop, pod string) error {
	p, err := startPair(ctx, laptop, pod, pod+".base")
	if err != nil {
		return err
	}
	defer p.stop()
	return p.equal(ctx)
}
