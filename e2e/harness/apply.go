package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// Apply creates the objects of a YAML file in a namespace.
func (c *Cluster) Apply(ctx context.Context, namespace, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read objects of %s: %w", path, err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			return fmt.Errorf("decode objects of %s: %w", path, err)
		}
		if err := c.Create(ctx, namespace, object); err != nil {
			return err
		}
	}
}

// Create makes one object of the kinds that the tests use.
func (c *Cluster) Create(ctx context.Context, namespace string, object runtime.Object) error {
	var err error
	options := metav1.CreateOptions{}
	switch o := object.(type) {
	case *appsv1.Deployment:
		_, err = c.Client.AppsV1().Deployments(namespace).Create(ctx, o, options)
	case *appsv1.StatefulSet:
		_, err = c.Client.AppsV1().StatefulSets(namespace).Create(ctx, o, options)
	case *corev1.Service:
		_, err = c.Client.CoreV1().Services(namespace).Create(ctx, o, options)
	case *corev1.ConfigMap:
		_, err = c.Client.CoreV1().ConfigMaps(namespace).Create(ctx, o, options)
	case *corev1.Pod:
		_, err = c.Client.CoreV1().Pods(namespace).Create(ctx, o, options)
	default:
		err = fmt.Errorf("kind %T is not among those the harness creates", object)
	}
	if err != nil {
		return fmt.Errorf("create %T in %s: %w", object, namespace, err)
	}
	return nil
}

// FreePort returns a TCP port of the loopback interface that nothing uses now.
func FreePort() (int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(ports)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

// Ports below those that the system gives out by itself (ip_local_port_range): one
// of these could be taken, by the test's own proxy even, before it is used.
const firstPort, ports = 20000, 12000
