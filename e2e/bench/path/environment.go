package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

const (
	namespace = "okteto-bench"
	workdir   = "/app"
)

// environment is one application in development mode.
type environment struct {
	cluster *harness.Cluster
	cli     *harness.CLI
	laptop  string // the project's folder on this machine
	pod     string // the same folder in the pod, as this machine sees it
	up      time.Duration
}

func newEnvironment(ctx context.Context, folder string) (*environment, error) {
	cluster, err := harness.Connect()
	if err != nil {
		return nil, err
	}
	e := &environment{cluster: cluster, laptop: filepath.Join(folder, "project")}
	e.cli = cluster.NewCLI(filepath.Join(folder, "home"), e.laptop, namespace)
	if err := errors.Join(os.Mkdir(e.cli.Home, 0o700), os.Mkdir(e.laptop, 0o755)); err != nil {
		return nil, fmt.Errorf("make a folder for the project: %w", err)
	}
	if err := cluster.DeleteNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	err = harness.Wait(ctx, "namespace "+namespace, func(ctx context.Context) error {
		return cluster.CreateNamespace(ctx, namespace, nil)
	})
	if err != nil {
		return nil, err
	}
	_, err = cluster.DeploySample(ctx, e.cli)
	return e, err
}

func (e *environment) start(ctx context.Context) error {
	if err := e.okteto(ctx, "up", "--detach"); err != nil {
		return err
	}
	root, err := podRoot()
	if err != nil {
		return err
	}
	e.pod = filepath.Join(root, workdir)
	return nil
}

func (e *environment) okteto(ctx context.Context, args ...string) error {
	result, err := e.cli.Run(ctx, nil, args...)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("okteto %s: exit code %d: %s%s", strings.Join(args, " "), result.Code, result.Stdout, result.Stderr)
	}
	if args[0] == "up" {
		e.up = result.Took
	}
	return err
}

func (e *environment) stop(ctx context.Context) error {
	err := e.okteto(ctx, "down")
	return errors.Join(err, e.cluster.DeleteNamespace(ctx, namespace))
}

// podRoot finds the pod's root folder in this machine's /proc: the nodes are
// containers here, so the supervisor is a process like any other.
func podRoot() (string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err != nil || filepath.Base(exe) != contract.SupervisorBinary {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err == nil && strings.Contains(string(environ), contract.EnvNamespace+"="+namespace+"\x00") {
			return filepath.Join("/proc", entry.Name(), "root"), nil
		}
	}
	return "", errors.New("the pod's processes are not on this machine: this benchmark needs the local kind cluster")
}
