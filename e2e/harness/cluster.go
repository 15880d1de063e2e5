// Package harness is what the end-to-end tests, the demo and the benchmarks
// share: the kind cluster, namespaces that clean up after themselves, the okteto
// binary with a home of its own, and what is collected when a test fails.
package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Environment variables that point a run somewhere else.
const (
	EnvKubeconfig = "OKTETO_E2E_KUBECONFIG"
	EnvArtifacts  = "OKTETO_E2E_ARTIFACTS"
	EnvBinary     = "OKTETO_E2E_BINARY"
)

// Images that `make images` builds and loads into the cluster.
const (
	InitImage = "okteto/bin:dev"
	DevImage  = "okteto/devbase:dev"
)

// Cluster is a connection to the cluster under test, as its administrator.
type Cluster struct {
	// Root of the repository.
	Root string
	// Kubeconfig is the path of the file that leads to the cluster.
	Kubeconfig string
	Config     *rest.Config
	Client     kubernetes.Interface
}

// Connect finds the cluster that `make cluster` made, or the one that
// OKTETO_E2E_KUBECONFIG names.
func Connect() (*Cluster, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	path := os.Getenv(EnvKubeconfig)
	if path == "" {
		path = filepath.Join(root, ".cluster", "kubeconfig")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig %s: %w (make cluster)", path, err)
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster of %s: %w", path, err)
	}
	return &Cluster{Root: root, Kubeconfig: path, Config: config, Client: client}, nil
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no go.mod in this folder or above it")
		}
		dir = parent
	}
}

// CreateNamespace makes a namespace with the given labels.
func (c *Cluster) CreateNamespace(ctx context.Context, name string, labels map[string]string) error {
	_, err := c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace starts the removal of a namespace; one that is gone is fine.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	err := c.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}

// WaitDeployment waits until all replicas that a Deployment asks for are
// available.
func (c *Cluster) WaitDeployment(ctx context.Context, namespace, name string) error {
	return Wait(ctx, fmt.Sprintf("deployment %s/%s available", namespace, name), func(ctx context.Context) error {
		d, err := c.Client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !available(d) {
			return fmt.Errorf("%d of %d replicas available", d.Status.AvailableReplicas, d.Status.Replicas)
		}
		return nil
	})
}

func available(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.AvailableReplicas == want && s.Replicas == want && s.UpdatedReplicas == want
}
