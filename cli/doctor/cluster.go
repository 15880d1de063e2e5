package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"okteto/cli/up"
	"okteto/cli/workload"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// maxSkew between two clocks that does no harm.
const maxSkew = 5 * time.Second

func (p *patient) cluster(ctx context.Context) Check {
	start := time.Now()
	version, err := p.Client.Clientset.ServerVersion(ctx)
	if err != nil {
		return failed(p.Client.Explain(err, "reach the cluster"))
	}
	p.reachable = true
	return ok(fmt.Sprintf("context %s, Kubernetes %s, answers in %s", p.Client.Context, version.GitVersion, time.Since(start).Round(time.Millisecond)))
}

// clock compares the laptop's clock with the API server's.
func (p *patient) clock(ctx context.Context) Check {
	client, err := rest.HTTPClientFor(p.Client.Config)
	if err != nil {
		return skipped(err.Error())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.Client.Config.Host, "/")+"/version", nil)
	if err != nil {
		return skipped(err.Error())
	}
	response, err := client.Do(request)
	if err != nil {
		return skipped(err.Error())
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	there, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return skipped("the API server does not tell the time")
	}
	skew := time.Since(there).Round(time.Second)
	if skew.Abs() > maxSkew {
		return warning(fmt.Sprintf("this clock is %s off the cluster's", skew), "set the clock by NTP: which of two edits is newer is decided by it")
	}
	return ok("agrees with the cluster's")
}

func (p *patient) namespace(ctx context.Context) Check {
	if err := p.Client.CheckNamespace(ctx); err != nil {
		return failed(err)
	}
	detail := p.Client.Namespace
	ns, err := p.Client.Clientset.CoreV1().Namespaces().Get(ctx, p.Client.Namespace, metav1.GetOptions{})
	if err != nil {
		return ok(detail)
	}
	if _, forbidden := ns.Labels[contract.NotAllowedLabel]; forbidden {
		return failure(detail+" forbids development", "its label "+contract.NotAllowedLabel+" says so; choose another namespace")
	}
	if level := ns.Labels["pod-security.kubernetes.io/enforce"]; level != "" {
		detail += ", pod security " + level
	}
	return ok(detail)
}

// needed is what docs/rbac.yaml grants.
var needed = []struct {
	group, resource, subresource string
	verbs                        []string
}{
	{"apps", "deployments", "", []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	{"apps", "statefulsets", "", []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	{"", "pods", "", []string{"get", "list", "watch"}},
	{"", "pods", "log", []string{"get"}},
	{"", "events", "", []string{"list"}},
	{"", "pods", "portforward", []string{"get", "create"}},
	{"", "pods", "exec", []string{"get", "create"}},
	{"", "secrets", "", []string{"create", "get", "update", "delete"}},
	{"", "persistentvolumeclaims", "", []string{"create", "get", "update", "delete"}},
	{"", "services", "", []string{"get", "list", "create", "delete"}},
}

func (p *patient) permissions(ctx context.Context) Check {
	var missing []string
	asked := 0
	for _, n := range needed {
		for _, verb := range n.verbs {
			asked++
			review, err := p.Client.Clientset.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: p.Client.Namespace, Group: n.group, Resource: n.resource, Subresource: n.subresource, Verb: verb,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				return skipped(err.Error())
			}
			if !review.Status.Allowed {
				name := n.resource
				if n.subresource != "" {
					name += "/" + n.subresource
				}
				missing = append(missing, verb+" "+name)
			}
		}
	}
	if len(missing) > 0 {
		return failure("not allowed: "+strings.Join(missing, ", "), "ask for the role in docs/rbac.yaml in namespace "+p.Client.Namespace)
	}
	return ok(fmt.Sprintf("all %d that are needed", asked))
}

func (p *patient) workload(ctx context.Context) Check {
	found, err := workload.Find(ctx, p.Workload())
	if err != nil {
		return failed(p.Explain(err, "look up the workload"))
	}
	p.original = found
	if without := found.Meta().Annotations[contract.ReplicasAnnotation]; without != "" {
		return ok(fmt.Sprintf("%s, in development mode; replicas without it: %s", found, without))
	}
	return ok(fmt.Sprintf("%s, replicas: %d", found, found.Replicas()))
}

// admission asks the API server whether it would take the development pod, which
// makes nothing but runs pod security, quotas and webhooks.
func (p *patient) admission(ctx context.Context) Check {
	if p.original == nil {
		return skipped("there is no workload")
	}
	twin, err := p.twin()
	if err != nil {
		return failure(err.Error(), "correct the manifest")
	}
	template := twin.Template()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "okteto-doctor-", Labels: template.Labels, Annotations: template.Annotations},
		Spec:       template.Spec,
	}
	_, err = p.Client.Clientset.CoreV1().Pods(p.Client.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return ok("the cluster would take the development pod")
	case apierrors.IsForbidden(err) && !p.mayCreatePods(ctx):
		return skipped("it takes the right to create pods to ask")
	}
	return failure(err.Error(), "set what it asks for in the manifest, such as securityContext or resources")
}

func (p *patient) mayCreatePods(ctx context.Context) bool {
	review, err := p.Client.Clientset.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: p.Client.Namespace, Resource: "pods", Verb: "create",
		}},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed
}

// twin is the workload's twin with keys that are thrown away.
func (p *patient) twin() (*workload.Twin, error) {
	keys, err := identity.NewEnvironment()
	if err != nil {
		return nil, err
	}
	data, err := up.SecretData(p.Dev, keys, []byte("none\n"))
	if err != nil {
		return nil, err
	}
	return workload.Translate(p.original, p.Dev, workload.Options{SecretData: data})
}

// nodes that the agents run on: they are built for two architectures.
func (p *patient) nodes(ctx context.Context) Check {
	list, err := p.Client.Clientset.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return skipped("it takes the right to list nodes to ask")
	}
	var kinds []string
	usable := 0
	for _, node := range list.Items {
		info := node.Status.NodeInfo
		kind := info.OperatingSystem + "/" + info.Architecture
		if kind == "linux/amd64" || kind == "linux/arm64" {
			usable++
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	detail := fmt.Sprintf("%d nodes, %s", len(list.Items), strings.Join(kinds, ", "))
	switch {
	case usable == 0:
		return failure(detail, "the agents run on linux/amd64 and linux/arm64")
	case usable < len(list.Items):
		return warning(detail, "keep the pod to linux/amd64 or linux/arm64 with nodeSelector")
	}
	return ok(detail)
}
