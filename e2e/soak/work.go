package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// work does one thing that a developer, or the application, does.
func (s *soak) work(ctx context.Context) error {
	s.edits++
	text := fmt.Sprintf("edit %d\n%s", s.edits, strings.Repeat("x", s.random.IntN(20_000)))
	switch s.random.IntN(8) {
	case 0: // a command, and its exit code
		s.edits--
		s.commands++
		code := s.random.IntN(256)
		result, err := s.cli.Run(ctx, nil, "exec", "--", "sh", "-c", fmt.Sprintf("echo said %d; exit %d", s.commands, code))
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("said %d\n", s.commands); result.Code != code || result.Stdout != want {
			return fmt.Errorf("exec: exit code %d, want %d; output %q, want %q: %s", result.Code, code, result.Stdout, want, result.Stderr)
		}
		return nil
	case 1, 2: // the pod's side
		root, err := s.pod()
		if err != nil {
			return nil //nolint:nilerr // there is no pod at the moment
		}
		return s.write(filepath.Join(root, workdir), fmt.Sprintf("pod-%d.txt", s.random.IntN(10)), text)
	default:
		return s.write(s.cli.Dir, fmt.Sprintf("laptop-%d.txt", s.random.IntN(20)), text)
	}
}

func (s *soak) write(dir, name, text string) error {
	path := filepath.Join(dir, name)
	temporary := path
	if s.random.IntN(2) == 0 { // as careful editors do
		temporary += "~"
	}
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	if temporary != path {
		if err := os.Rename(temporary, path); err != nil {
			return fmt.Errorf("edit: %w", err)
		}
	}
	s.written[name] = text
	return nil
}

func (s *soak) pod() (root string, err error) {
	agents, err := harness.OneAgents(namespace)
	if err != nil {
		return "", err
	}
	return agents.Root(), nil
}

// compare says which files are not what was last written.
func (s *soak) compare() error {
	root, err := s.pod()
	if err != nil {
		return err
	}
	var wrong []error
	for name, text := range s.written {
		for side, dir := range map[string]string{"laptop": s.cli.Dir, "pod": filepath.Join(root, workdir)} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && string(got) != text {
				err = fmt.Errorf("%s holds %.20q, want %.20q", name, got, text)
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("on the %s: %w", side, err))
			}
		}
	}
	return errors.Join(wrong...)
}

// settled waits until all works: an edit is served.
func (s *soak) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, harness.Timeout)
	defer cancel()
	text := fmt.Sprint("settled ", time.Since(s.start))
	if err := s.Say(text); err != nil {
		return err
	}
	return s.WaitSaid(ctx, text)
}

// breakSomething makes a fault and waits until work goes on.
func (s *soak) breakSomething(ctx context.Context) error {
	faults := []struct {
		name string
		do   func(context.Context) error
	}{
		{"connections cut", func(context.Context) error { s.way.Cut(); return nil }},
		{"no way to the cluster for a while", s.outage(s.way.Refuse)},
		{"everything swallowed for a while", s.outage(s.way.Stall)},
		{"pod deleted", s.deletePod},
		{"okteto-remote killed", func(context.Context) error { return harness.KillAgent(namespace, contract.RemoteBinary) }},
		{"syncthing killed in the pod", func(context.Context) error { return harness.KillAgent(namespace, contract.SyncthingBinary) }},
		{"okteto killed and started again", s.killUp},
	}
	fault := faults[s.random.IntN(len(faults))]
	s.say("%s", fault.name)
	if err := fault.do(ctx); err != nil {
		return fmt.Errorf("%s: %w", fault.name, err)
	}
	broken := time.Now()
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("after %s: %w", fault.name, err)
	}
	took := time.Since(broken)
	s.say("  an edit is served again after %.1f s", took.Seconds())
	s.count[fault.name]++
	s.longest[fault.name] = max(s.longest[fault.name], took)
	return nil
}

// outage breaks the way for some seconds, in which work on the laptop goes on.
func (s *soak) outage(set func(bool)) func(context.Context) error {
	return func(ctx context.Context) error {
		set(true)
		defer set(false)
		s.way.Cut()
		for end := time.Now().Add(time.Duration(1+s.random.IntN(15)) * time.Second); time.Now().Before(end); {
			name := fmt.Sprintf("laptop-%d.txt", s.random.IntN(20))
			s.edits++
			if err := s.write(s.cli.Dir, name, fmt.Sprintf("edit %d, offline\n", s.edits)); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
			}
		}
		return nil
	}
}

// deletePod waits first until what the pod's side wrote is on the laptop: without
// a volume, the pod's files end with the pod.
func (s *soak) deletePod(ctx context.Context) error {
	err := harness.Wait(ctx, "both sides to be equal", func(context.Context) error { return s.compare() })
	if err != nil {
		return err
	}
	return s.DeletePod(ctx)
}

func (s *soak) killUp(ctx context.Context) error {
	content, err := os.ReadFile(s.StateFile(contract.PIDFile))
	if err != nil {
		return fmt.Errorf("find the running up: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return fmt.Errorf("find the running up: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the running up: %w", err)
	}
	_, err = s.cli.Succeed(ctx, "up", "--detach")
	return err
}
