package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"okteto/cli/ui"
)

// Explain turns an error of the Kubernetes API into a problem that says what to
// do. action completes "cannot …": "create the secret okteto-api". A Problem
// is returned as it is, and so is the end of a context.
func (c *Client) Explain(err error, action string) error {
	if problem := (*ui.Problem)(nil); err == nil || errors.As(err, &problem) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	problem := &ui.Problem{Summary: "cannot " + action, Cause: err}
	var certificate x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case apierrors.IsForbidden(err):
		problem.Summary = "not allowed to " + action
		problem.Hint = fmt.Sprintf("ask an administrator of namespace %q for the role in docs/rbac.yaml; okteto doctor lists what is missing", c.Namespace)
	case apierrors.IsUnauthorized(err):
		problem.Detail = "the cluster does not accept the credentials of context " + c.Context
		problem.Hint = "log in to the cluster again, then check with: kubectl auth whoami"
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err):
		problem.Hint = "the cluster is busy; try again"
	case errors.As(err, &certificate), errors.As(err, &hostname):
		problem.Hint = fmt.Sprintf("the certificate of %s is not the one the kubeconfig expects; fetch the kubeconfig of this cluster again", c.Config.Host)
	case Unreachable(err):
		problem.Summary = fmt.Sprintf("cannot reach the cluster of context %q at %s", c.Context, c.Config.Host)
		problem.Hint = "check the network, the VPN, and that the cluster runs: kubectl cluster-info"
	}
	return problem
}

// Unreachable reports whether err comes from the way to the API server rather
// than from the API server: refused, reset, timed out, unresolved.
func Unreachable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return false
	}
	var netError net.Error
	var urlError *url.Error
	return errors.As(err, &netError) || errors.As(err, &urlError) ||
		errors.Is(err, context.DeadlineExceeded) ||
		utilnet.IsConnectionReset(err) || utilnet.IsConnectionRefused(err) || utilnet.IsProbableEOF(err)
}
