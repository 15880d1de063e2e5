package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"okteto/internal/contract"
	"okteto/internal/testkit/proxy"
)

// SampleName is the name of the sample application and of its Deployment.
const SampleName = "api"

// Sample is the sample application, deployed in a namespace, with a developer's
// copy of its source.
type Sample struct {
	cluster *Cluster
	cli     *CLI
	// Port on this machine that the manifest forwards to the application.
	Port int
	// Before is the Deployment as it was before any up.
	Before *appsv1.Deployment
}

// DeploySample deploys the sample in cli's namespace, copies its source to cli's
// project folder, and waits until it runs.
func (c *Cluster) DeploySample(ctx context.Context, cli *CLI) (*Sample, error) {
	s := &Sample{cluster: c, cli: cli}
	source := filepath.Join(c.Root, "e2e", "samples", SampleName)
	if err := CopyTree(cli.Dir, source); err != nil {
		return nil, err
	}
	var err error
	if s.Port, err = FreePort(); err != nil {
		return nil, err
	}
	// Samples that run at once must not share the laptop's port.
	if err := s.Rewrite(contract.ManifestFile, `\d+:8080`, fmt.Sprintf("%d:8080", s.Port)); err != nil {
		return nil, err
	}
	if err := c.Apply(ctx, cli.Namespace, filepath.Join(source, "k8s.yml")); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if err := c.WaitDeployment(ctx, cli.Namespace, SampleName); err != nil {
		return nil, err
	}
	s.Before, err = s.Deployment(ctx)
	return s, err
}

// FreshSample is DeploySample for who is no test: a home and a project in folder,
// and a namespace that is made anew.
func (c *Cluster) FreshSample(ctx context.Context, folder, namespace string) (*CLI, *Sample, error) {
	cli := c.NewCLI(filepath.Join(folder, "home"), filepath.Join(folder, "project"), namespace)
	if err := errors.Join(os.Mkdir(cli.Home, 0o700), os.Mkdir(cli.Dir, 0o755)); err != nil {
		return nil, nil, fmt.Errorf("make a folder for the project: %w", err)
	}
	if err := c.DeleteNamespace(ctx, namespace); err != nil {
		return nil, nil, err
	}
	err := Wait(ctx, "namespace "+namespace, func(ctx context.Context) error {
		return c.CreateNamespace(ctx, namespace, nil)
	})
	if err != nil {
		return nil, nil, err
	}
	sample, err := c.DeploySample(ctx, cli)
	return cli, sample, err
}

// Deployment is the sample's, as it is now.
func (s *Sample) Deployment(ctx context.Context) (*appsv1.Deployment, error) {
	d, err := s.cluster.Client.AppsV1().Deployments(s.cli.Namespace).Get(ctx, SampleName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the sample's Deployment: %w", err)
	}
	return d, nil
}

// Rewrite changes a file of the project as an editor would.
func (s *Sample) Rewrite(name, pattern, by string) error {
	path := filepath.Join(s.cli.Dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("edit the project: %w", err)
	}
	expression := regexp.MustCompile(pattern)
	if !expression.Match(content) {
		return fmt.Errorf("edit the project: %s has nothing that matches %s", name, pattern)
	}
	if err := os.WriteFile(path, expression.ReplaceAllLiteral(content, []byte(by)), 0o644); err != nil {
		return fmt.Errorf("edit the project: %w", err)
	}
	return nil
}

// Say edits the application's source so that it answers with text.
func (s *Sample) Say(text string) error {
	return s.Rewrite("server.py", `(?m)^MESSAGE = .*$`, fmt.Sprintf("MESSAGE = %q", text))
}

// URL of the application through the forward.
func (s *Sample) URL() string { return fmt.Sprintf("http://127.0.0.1:%d/", s.Port) }

// Answer is what the application says through the forward.
func (s *Sample) Answer(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(), nil)
	if err != nil {
		return "", fmt.Errorf("ask the application: %w", err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask the application: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("ask the application: %w", err)
	}
	return strings.TrimSpace(string(body)), nil
}

// WaitSaid waits until the application's answer has text in it.
func (s *Sample) WaitSaid(ctx context.Context, text string) error {
	return Wait(ctx, fmt.Sprintf("the application to say %q", text), func(ctx context.Context) error {
		got, err := s.Answer(ctx)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("it says %q", got)
		}
		return err
	})
}

// StateFile is the path of a file in the environment's folder of the laptop.
func (s *Sample) StateFile(name string) string {
	return filepath.Join(s.cli.Home, contract.StateFolder, s.cli.Namespace, SampleName, name)
}

// DevPod waits for the one running development pod.
func (s *Sample) DevPod(ctx context.Context) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := Wait(ctx, "one running development pod", func(ctx context.Context) error {
		pods, err := s.cluster.Client.CoreV1().Pods(s.cli.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.InteractiveLabel + "=" + SampleName})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		pod = &pods.Items[0]
		return nil
	})
	return pod, err
}

// DeletePod deletes the development pod.
func (s *Sample) DeletePod(ctx context.Context) error {
	pod, err := s.DevPod(ctx)
	if err != nil {
		return err
	}
	if err := s.cluster.Client.CoreV1().Pods(s.cli.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete the pod: %w", err)
	}
	return nil
}

// WaitRestored waits until the Deployment runs as it was before up, and nothing of
// the environment is left in the namespace.
func (s *Sample) WaitRestored(ctx context.Context) error {
	if err := s.cluster.WaitDeployment(ctx, s.cli.Namespace, SampleName); err != nil {
		return err
	}
	after, err := s.Deployment(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for what, diff := range map[string]string{
		"spec":        cmp.Diff(s.Before.Spec, after.Spec),
		"labels":      cmp.Diff(s.Before.Labels, after.Labels),
		"annotations": cmp.Diff(s.Before.Annotations, after.Annotations),
	} {
		if diff != "" {
			failures = append(failures, fmt.Errorf("the Deployment's %s is not as before:\n%s", what, diff))
		}
	}
	if failures != nil {
		return errors.Join(failures...)
	}
	return Wait(ctx, "nothing of the environment left", s.nothingLeft)
}

func (s *Sample) nothingLeft(ctx context.Context) error {
	core, namespace := s.cluster.Client.CoreV1(), s.cli.Namespace
	deployments, err := s.cluster.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	secrets, err := core.Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	pods, err := core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.InteractiveLabel})
	if err != nil {
		return err
	}
	claims, err := core.PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(deployments.Items) != 1 || len(secrets.Items) != 0 || len(pods.Items) != 0 || len(claims.Items) != 0 {
		return fmt.Errorf("%d deployments, %d secrets, %d development pods, %d claims",
			len(deployments.Items), len(secrets.Items), len(pods.Items), len(claims.Items))
	}
	return nil
}

// PutProxyBetween makes cli's kubeconfig, a copy of which it writes to folder, lead
// through a proxy that the caller closes.
func PutProxyBetween(cli *CLI, folder string) (*proxy.Proxy, error) {
	config, err := clientcmd.LoadFromFile(cli.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	way, err := proxy.New(server.Host)
	if err != nil {
		return nil, err
	}
	cluster.TLSServerName = server.Hostname()
	server.Host = way.Addr()
	cluster.Server = server.String()
	path := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		way.Close()
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	cli.Kubeconfig = path
	return way, nil
}
