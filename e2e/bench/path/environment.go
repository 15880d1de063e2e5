package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"okteto/e2e/harness"
)

const (
	namespace = "okteto-bench"
	workdir   = "/app"
)

// environment is one application in development mode.
type environment struct {
	cluster *harness.Cluster
	cli     *harness.CLI
	sample  *harness.Sample
	laptop  string // the project's folder on this machine
	pod     string // the same folder in the pod, as this machine sees it
	up      time.Duration
}

func newEnvironment(ctx context.Context, folder string) (*environment, error) {
	cluster, err := harness.Connect()
	if err != nil {
		return nil, err
	}
	e := &environment{cluster: cluster}
	if e.cli, e.sample, err = cluster.FreshSample(ctx, folder, namespace); err != nil {
		return nil, err
	}
	e.laptop = e.cli.Dir
	return e, nil
}

func (e *environment) start(ctx context.Context) error {
	result, err := e.cli.Succeed(ctx, "up", "--detach")
	if err != nil {
		return err
	}
	e.up = result.Took
	agents, err := harness.OneAgents(namespace)
	if err != nil {
		return err
	}
	e.pod = filepath.Join(agents.Root(), workdir)
	return nil
}

func (e *environment) down(ctx context.Context) error {
	if _, err := e.cli.Succeed(ctx, "down"); err != nil {
		return err
	}
	return e.sample.WaitRestored(ctx)
}

func (e *environment) stop(ctx context.Context) error {
	_, err := e.cli.Succeed(ctx, "down")
	return errors.Join(err, e.cluster.DeleteNamespace(ctx, namespace))
}
