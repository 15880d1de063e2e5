package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
)

const namespace = "okteto-demo"

// story is one run of the demo.
type story struct {
	cluster *harness.Cluster
	laptop  string
	cli     *harness.CLI
	out     io.Writer
	start   time.Time
	sample  *harness.Sample
}

func run(ctx context.Context, out io.Writer) (err error) {
	cluster, err := harness.Connect()
	if err != nil {
		return err
	}
	laptop, err := os.MkdirTemp("", "okteto-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the project: %w", err)
	}
	defer os.RemoveAll(laptop)
	s := &story{cluster: cluster, out: out, start: time.Now()}
	s.laptop = laptop
	defer func() { err = errors.Join(err, s.cleanUp(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context) error{
		s.deploy, s.up, s.edit, s.execute, s.down,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.say("Done.")
	return nil
}

// say prints a line of the story with the seconds since it began.
func (s *story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) deploy(ctx context.Context) error {
	nodes, err := s.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("ask the cluster for its nodes: %w (make cluster)", err)
	}
	s.say("A cluster of %d nodes, Kubernetes %s.", len(nodes.Items), nodes.Items[0].Status.NodeInfo.KubeletVersion)
	if s.cli, s.sample, err = s.cluster.FreshSample(ctx, s.laptop, namespace); err != nil {
		return err
	}
	s.say("The sample application runs: Deployment %q with %d replicas, and a Service.", harness.SampleName, *s.sample.Before.Spec.Replicas)
	return nil
}

func (s *story) up(ctx context.Context) error {
	s.say("$ okteto up --detach")
	result, err := s.cli.Succeed(ctx, "up", "--detach")
	if err != nil {
		return err
	}
	s.say("Ready after %d ms: the pod runs our image, files are in sync, %s leads to it.", result.Took.Milliseconds(), s.sample.URL())
	var answer string
	err = harness.Wait(ctx, "an answer from "+s.sample.URL(), func(ctx context.Context) (err error) {
		answer, err = s.sample.Answer(ctx)
		return err
	})
	if err != nil {
		return err
	}
	s.say("A request through the forwarded port: %q", answer)
	return nil
}

func (s *story) edit(ctx context.Context) error {
	const text = "edited on the laptop, served by the pod"
	s.say("Editing server.py on this machine …")
	if err := s.sample.Say(text); err != nil {
		return err
	}
	saved := time.Now()
	if err := s.sample.WaitSaid(ctx, text); err != nil {
		return err
	}
	s.say("The pod serves it %d ms after the save (the application reloads itself in that time).", time.Since(saved).Milliseconds())
	return nil
}

func (s *story) execute(ctx context.Context) error {
	const command = "echo made in the pod > from-pod.txt; hostname"
	s.say("$ okteto exec -- sh -c %q", command)
	result, err := s.cli.Succeed(ctx, "exec", "--", "sh", "-c", command)
	if err != nil {
		return err
	}
	err = harness.Wait(ctx, "the pod's file on this machine", func(context.Context) error {
		_, err := os.Stat(filepath.Join(s.cli.Dir, "from-pod.txt"))
		return err
	})
	if err != nil {
		return err
	}
	s.say("It ran in pod %s, and the file it made is on this machine.", strings.TrimSpace(result.Stdout))
	return nil
}

func (s *story) down(ctx context.Context) error {
	s.say("$ okteto down")
	if _, err := s.cli.Succeed(ctx, "down"); err != nil {
		return err
	}
	if err := s.sample.WaitRestored(ctx); err != nil {
		return err
	}
	s.say("The Deployment is as it was before: %d replicas of the original.", *s.sample.Before.Spec.Replicas)
	return nil
}

func (s *story) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if s.cli != nil {
		_, err = s.cli.Run(ctx, nil, "down")
	}
	return errors.Join(err, s.cluster.DeleteNamespace(ctx, namespace))
}
