//go:build e2e

// Package cli tests that okteto stays attached: the pod goes, the network goes,
// the program itself is killed, and work goes on.
package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"okteto/e2e/harness"
	"okteto/internal/contract"
	"okteto/internal/testkit/proxy"
)

const sample = "api"

// laptop is a developer at work on the sample application.
type laptop struct {
	*harness.Test
	port int
	// way is between this laptop and the API server.
	way *proxy.Proxy
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	l := &laptop{Test: harness.New(t, nil)}
	source := filepath.Join(l.Root, "e2e", "samples", sample)
	if err := harness.CopyTree(l.Dir, source); err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	l.port = port
	l.rewrite("okteto.yml", `\d+:8080`, fmt.Sprintf("%d:8080", port))
	if err := l.Apply(t.Context(), l.Namespace, filepath.Join(source, "k8s.yml")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	if err := l.WaitDeployment(ctx, l.Namespace, sample); err != nil {
		t.Fatal(err)
	}
	l.putProxyBetween(t)
	return l
}

// putProxyBetween makes this laptop's kubeconfig lead through a proxy.
func (l *laptop) putProxyBetween(t *testing.T) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(l.CLI.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	if l.way, err = proxy.New(server.Host); err != nil {
		t.Fatal(err)
	}
	direct := l.CLI.Kubeconfig
	t.Cleanup(func() { // before the harness cleans up
		l.CLI.Kubeconfig = direct
		l.way.Close()
	})
	cluster.TLSServerName = server.Hostname()
	server.Host = l.way.Addr()
	cluster.Server = server.String()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	l.CLI.Kubeconfig = path
}

func (l *laptop) rewrite(name, pattern, by string) {
	l.Helper()
	path := filepath.Join(l.Dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		l.Fatal(err)
	}
	changed := regexp.MustCompile(pattern).ReplaceAllLiteralString(string(content), by)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		l.Fatal(err)
	}
}

// serves edits the application so that it says text, and waits until it does,
// through the forward: files, forward and command all work.
func (l *laptop) serves(text string) {
	l.Helper()
	l.rewrite("server.py", `(?m)^MESSAGE = .*$`, fmt.Sprintf("MESSAGE = %q", text))
	l.Eventually("the application says "+text, func(ctx context.Context) error {
		got, err := l.answer(ctx)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("it says %q", got)
		}
		return err
	})
}

func (l *laptop) answer(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", l.port), nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// reaches waits for a state of okteto.state.
func (l *laptop) reaches(state string) {
	l.Helper()
	l.Eventually("state "+state, func(context.Context) error {
		content, err := os.ReadFile(l.stateFile(contract.StateFile))
		if err == nil && string(content) != state {
			err = fmt.Errorf("it is %s", content)
		}
		return err
	})
}

func (l *laptop) stateFile(name string) string {
	return filepath.Join(l.Home, contract.StateFolder, l.Namespace, sample, name)
}

// pid of the running up.
func (l *laptop) pid() int {
	l.Helper()
	content, err := os.ReadFile(l.stateFile(contract.PIDFile))
	if err != nil {
		l.Fatal(err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		l.Fatal(err)
	}
	return pid
}

// restored checks that the application is as it was deployed.
func (l *laptop) restored() {
	l.Helper()
	l.Eventually("the application as it was", func(ctx context.Context) error {
		list, err := l.Client.AppsV1().Deployments(l.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if n := len(list.Items); n != 1 {
			return fmt.Errorf("there are %d Deployments", n)
		}
		d := list.Items[0]
		if *d.Spec.Replicas != 2 || d.Labels[contract.DevLabel] != "" || d.Annotations[contract.ReplicasAnnotation] != "" {
			return fmt.Errorf("%d replicas, labels %v, annotations %v", *d.Spec.Replicas, d.Labels, d.Annotations)
		}
		return nil
	})
}
