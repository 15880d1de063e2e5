package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	appsv1 "k8s.io/api/apps/v1"

	"okteto/e2e/harness"
)

const (
	namespace   = "okteto-demo"
	application = "api"
)

// story is one run of the demo.
type story struct {
	cluster *harness.Cluster
	cli     *harness.CLI
	out     io.Writer
	start   time.Time
	url     string
	before  *appsv1.Deployment
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
	s.cli = cluster.NewCLI(filepath.Join(laptop, "home"), filepath.Join(laptop, "project"), namespace)

	for _, folder := range []string{s.cli.Home, s.cli.Dir} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return fmt.Errorf("make a folder for the project: %w", err)
		}
	}
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
	if err := s.emptyNamespace(ctx); err != nil {
		return err
	}
	source := filepath.Join(s.cluster.Root, "e2e", "samples", application)
	if err := harness.CopyTree(s.cli.Dir, source); err != nil {
		return err
	}
	if err := s.choosePort(); err != nil {
		return err
	}
	if err := s.cluster.Apply(ctx, namespace, filepath.Join(source, "k8s.yml")); err != nil {
		return err
	}
	if err := s.cluster.WaitDeployment(ctx, namespace, application); err != nil {
		return err
	}
	s.before, err = s.cluster.Client.AppsV1().Deployments(namespace).Get(ctx, application, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	s.say("The sample application runs: Deployment %q with %d replicas, and a Service.", application, *s.before.Spec.Replicas)
	return nil
}

// emptyNamespace removes what an interrupted demo may have left.
func (s *story) emptyNamespace(ctx context.Context) error {
	if err := s.cluster.DeleteNamespace(ctx, namespace); err != nil {
		return err
	}
	return harness.Wait(ctx, "namespace "+namespace, func(ctx context.Context) error {
		return s.cluster.CreateNamespace(ctx, namespace, nil)
	})
}

// choosePort lets the demo run beside whatever uses the manifest's port.
func (s *story) choosePort() error {
	port, err := harness.FreePort()
	if err != nil {
		return err
	}
	s.url = fmt.Sprintf("http://127.0.0.1:%d/", port)
	return s.rewrite("okteto.yml", `\d+:8080`, fmt.Sprintf("%d:8080", port))
}

func (s *story) up(ctx context.Context) error {
	s.say("$ okteto up --detach")
	result, err := s.okteto(ctx, "up", "--detach")
	if err != nil {
		return err
	}
	s.say("Ready after %d ms: the pod runs our image, files are in sync, %s leads to it.", result.Took.Milliseconds(), s.url)
	answer, err := s.request(ctx)
	if err != nil {
		return err
	}
	s.say("A request through the forwarded port: %q", answer)
	return nil
}

func (s *story) edit(ctx context.Context) error {
	const text = "edited on the laptop, served by the pod"
	s.say("Editing server.py on this machine …")
	if err := s.rewrite("server.py", `(?m)^MESSAGE = .*$`, fmt.Sprintf("MESSAGE = %q", text)); err != nil {
		return err
	}
	saved := time.Now()
	err := harness.Wait(ctx, "the edit served by the pod", func(ctx context.Context) error {
		answer, err := s.request(ctx)
		if err == nil && !strings.Contains(answer, text) {
			err = fmt.Errorf("it says %q", answer)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.say("The pod serves it %d ms after the save (the application reloads itself in that time).", time.Since(saved).Milliseconds())
	return nil
}

func (s *story) execute(ctx context.Context) error {
	const command = "echo made in the pod > from-pod.txt; hostname"
	s.say("$ okteto exec -- sh -c %q", command)
	result, err := s.okteto(ctx, "exec", "--", "sh", "-c", command)
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
	if _, err := s.okteto(ctx, "down"); err != nil {
		return err
	}
	if err := s.cluster.WaitDeployment(ctx, namespace, application); err != nil {
		return err
	}
	after, err := s.cluster.Client.AppsV1().Deployments(namespace).Get(ctx, application, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	same := equality.Semantic.DeepEqual(s.before.Spec, after.Spec) &&
		equality.Semantic.DeepEqual(s.before.Labels, after.Labels) &&
		equality.Semantic.DeepEqual(s.before.Annotations, after.Annotations)
	if !same {
		spec, _ := json.Marshal(after) // only for the message
		return fmt.Errorf("the Deployment is not as it was: %s", spec)
	}
	s.say("The Deployment is as it was before: %d replicas of the original.", *after.Spec.Replicas)
	return nil
}

func (s *story) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := s.cli.Run(ctx, nil, "down"); err != nil {
		return err
	}
	return s.cluster.DeleteNamespace(ctx, namespace)
}

// okteto runs a command that has to succeed.
func (s *story) okteto(ctx context.Context, args ...string) (harness.Result, error) {
	result, err := s.cli.Run(ctx, nil, args...)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("okteto %s: exit code %d\n%s%s", strings.Join(args, " "), result.Code, result.Stdout, result.Stderr)
	}
	return result, err
}

// request asks the application through the forwarded port.
func (s *story) request(ctx context.Context) (string, error) {
	var answer string
	err := harness.Wait(ctx, "an answer from "+s.url, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return err
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answer = strings.TrimSpace(string(body))
		return err
	})
	return answer, err
}

// rewrite changes a file of the project as an editor would.
func (s *story) rewrite(name, pattern, by string) error {
	path := filepath.Join(s.cli.Dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("edit the project: %w", err)
	}
	changed := regexp.MustCompile(pattern).ReplaceAllLiteral(content, []byte(by))
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		return fmt.Errorf("edit the project: %w", err)
	}
	return nil
}
