// Package kube connects to the cluster of the user's kubeconfig, and turns what
// can go wrong there into problems that say what to do.
package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/connrotation"

	"okteto/cli/kube/api"
	"okteto/cli/ui"
	"okteto/internal/contract"
)

const (
	// dialTimeout of a TCP connection to the API server; client-go's own 30 s
	// is longer than anyone waits for an error.
	dialTimeout = 10 * time.Second
	// keepalive finds a dead API server connection when nothing is sent on it.
	keepalive = 15 * time.Second
	// queriesPerSecond and burst of the client's own rate limit: `up` makes some
	// thirty requests at once, which client-go's 5 and 10 would stretch over
	// seconds.
	queriesPerSecond = 100
	burst            = 200
)

// Options say which cluster and namespace to use. Each is looked up in the
// order: flag, environment (OKTETO_CONTEXT, OKTETO_NAMESPACE), manifest, current
// context of the kubeconfig.
type Options struct {
	// Context and Namespace are the command's flags.
	Context, Namespace string
	// ManifestContext and ManifestNamespace are what the manifest says.
	ManifestContext, ManifestNamespace string
}

// Client is a connection to one namespace of one cluster. Nothing is sent until
// it is used.
type Client struct {
	Clientset *api.Clientset
	Config    *rest.Config
	// Namespace and Context are the ones in effect.
	Namespace, Context string
	dialer             *connrotation.Dialer
}

// Load reads the kubeconfig: the files of KUBECONFIG, else ~/.kube/config, else
// the service account when it runs in a pod. It makes no request.
func Load(o Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	kubeContext := first(o.Context, os.Getenv(contract.EnvContext), o.ManifestContext)
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubeContext}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, &ui.Problem{
			Summary: "cannot read the kubeconfig",
			Cause:   err,
			Hint:    "correct the file, or point KUBECONFIG at another one",
		}
	}
	if kubeContext != "" {
		if err := checkContext(raw, kubeContext); err != nil {
			return nil, err
		}
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, noCluster(raw, rules, err)
	}
	namespace := first(o.Namespace, os.Getenv(contract.EnvNamespace), o.ManifestNamespace)
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, noCluster(raw, rules, err)
		}
	}
	config.QPS, config.Burst = queriesPerSecond, burst
	config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepalive}).DialContext
	config.UserAgent = "okteto/" + contract.Version
	config.WarningHandler = rest.NoWarnings{}
	own := rest.CopyConfig(config)
	dialer := connrotation.NewDialer(config.Dial)
	own.Dial = dialer.DialContext
	clientset, err := api.New(own)
	if err != nil {
		return nil, &ui.Problem{
			Summary: fmt.Sprintf("cannot use context %q of the kubeconfig", first(kubeContext, raw.CurrentContext)),
			Cause:   err,
			Hint:    "check its server, certificate and user entries: kubectl config view",
		}
	}
	return &Client{
		Clientset: clientset,
		Config:    config,
		Namespace: namespace,
		Context:   first(kubeContext, raw.CurrentContext),
		dialer:    dialer,
	}, nil
}

// Reconnect gives the clientset's connections up, which someone found out are dead:
// what waits for an answer on one fails, and what comes next makes a new one.
// HTTP/2 alone would notice after 45 s. Streams to pods have connections of their
// own.
func (c *Client) Reconnect() { c.dialer.CloseAll() }

// CheckNamespace reports a problem when the cluster cannot be reached or the
// namespace does not exist. A user who may not look at namespaces passes: what
// is done next there will tell.
func (c *Client) CheckNamespace(ctx context.Context) error {
	_, err := c.Clientset.CoreV1().Namespaces().Get(ctx, c.Namespace, metav1.GetOptions{})
	switch {
	case err == nil, apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return &ui.Problem{
			Summary: fmt.Sprintf("namespace %q does not exist in context %q", c.Namespace, c.Context),
			Hint: fmt.Sprintf("create it: kubectl create namespace %s\nor choose another one with -n or %s",
				c.Namespace, contract.EnvNamespace),
			Cause: err,
		}
	}
	return c.Explain(err, "look up namespace "+c.Namespace)
}

func checkContext(raw clientcmdapi.Config, name string) error {
	if _, ok := raw.Contexts[name]; ok {
		return nil
	}
	names := make([]string, 0, len(raw.Contexts))
	for known := range raw.Contexts {
		names = append(names, known)
	}
	slices.Sort(names)
	hint := "the kubeconfig has no contexts; set KUBECONFIG to one that has"
	if len(names) > 0 {
		hint = "choose one of: " + strings.Join(names, ", ")
	}
	return &ui.Problem{Summary: fmt.Sprintf("context %q is not in the kubeconfig", name), Hint: hint}
}

func noCluster(raw clientcmdapi.Config, rules *clientcmd.ClientConfigLoadingRules, err error) error {
	if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) || len(raw.Clusters) == 0 {
		return &ui.Problem{
			Summary: "no Kubernetes cluster is configured",
			Detail:  "looked in " + strings.Join(rules.GetLoadingPrecedence(), ", "),
			Hint:    "set KUBECONFIG to your cluster's kubeconfig, or choose a context: kubectl config use-context NAME",
			Cause:   err,
		}
	}
	return &ui.Problem{
		Summary: fmt.Sprintf("cannot use context %q of the kubeconfig", raw.CurrentContext),
		Cause:   err,
		Hint:    "check it with: kubectl config view",
	}
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
