package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// registryLimit is how long a registry may take to answer.
const registryLimit = 5 * time.Second

// images asks whether the development pod's images can be had: from a node that
// has them already, else from their registries, with the credentials that the pod
// would have. The nodes may reach other registries than this laptop does, so only
// what a registry itself says is a failure.
func (p *patient) images(ctx context.Context) Check {
	switch {
	case p.pod != nil:
		return ok("the development pod has them")
	case p.original == nil:
		return skipped("there is no workload")
	}
	twin, err := p.twin()
	if err != nil {
		return failure(err.Error(), "correct the manifest")
	}
	spec := twin.Template().Spec
	look := imageLook{there: p.imagesOnNodes(ctx), credentials: p.pullSecrets(ctx, spec)}
	seen := map[string]bool{}
	var fine, unknown []string
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if seen[c.Image] {
			continue
		}
		seen[c.Image] = true
		verdict, err := look.one(ctx, c)
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			return failure(fmt.Sprintf("%s (container %s): %v", c.Image, c.Name, refused.err), refused.fix)
		case err != nil:
			unknown = append(unknown, fmt.Sprintf("%s: %v", c.Image, err))
		default:
			fine = append(fine, c.Image+" "+verdict)
		}
	}
	if unknown != nil {
		return skipped("cannot be told from here: " + strings.Join(unknown, "; "))
	}
	return ok(strings.Join(fine, ", "))
}

// refusedError is a registry's own answer that an image cannot be had.
type refusedError struct {
	err error
	fix string
}

func (e *refusedError) Error() string { return e.err.Error() }

func (e *refusedError) Unwrap() error { return e.err }

// imageLook is what is known of where images are.
type imageLook struct {
	there       map[string]bool // on a node; nil if that must not be asked
	credentials *configfile.ConfigFile
}

// one says where a container's image comes from.
func (l imageLook) one(ctx context.Context, c corev1.Container) (string, error) {
	named, err := reference.ParseNormalizedNamed(c.Image)
	if err != nil {
		return "", &refusedError{err: err, fix: "correct image in the manifest"}
	}
	name := reference.TagNameOnly(named).String()
	if c.ImagePullPolicy != corev1.PullAlways && l.there[name] {
		return "is on a node", nil
	}
	if c.ImagePullPolicy == corev1.PullNever {
		if l.there != nil {
			return "", &refusedError{err: errors.New("no node has it, and it is never pulled"), fix: "load it into the nodes, or change imagePullPolicy"}
		}
		return "", errors.New("only a node knows")
	}
	return "is in its registry", l.ask(ctx, name)
}

// ask resolves the image in its registry as a node would.
func (l imageLook) ask(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, registryLimit)
	defer cancel()
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(
		docker.WithPlainHTTP(docker.MatchLocalhost),
		docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthCreds(l.login))),
	)})
	_, _, err := resolver.Resolve(ctx, name)
	var status remoteerrors.ErrUnexpectedStatus
	switch {
	case errdefs.IsNotFound(err):
		return &refusedError{err: errors.New("its registry does not have it"), fix: "correct image in the manifest, or push it"}
	case errors.Is(err, docker.ErrInvalidAuthorization),
		errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return &refusedError{err: errors.New("its registry does not let the namespace have it, or does not have it"), fix: "correct image in the manifest, or give the namespace a pull secret for the registry"}
	}
	return err
}

// login returns the credentials for a registry's host.
func (l imageLook) login(host string) (user, secret string, err error) {
	if host == "registry-1.docker.io" {
		host = "https://index.docker.io/v1/" // as Docker's configuration names it
	}
	auth, err := l.credentials.GetAuthConfig(host)
	if err != nil {
		return "", "", fmt.Errorf("read pull secret: %w", err)
	}
	if auth.IdentityToken != "" {
		return "", auth.IdentityToken, nil
	}
	return auth.Username, auth.Password, nil
}

// imagesOnNodes are the names of all images that nodes report, nil if that must not
// be asked. Nodes report the fifty largest only, unless
// their nodeStatusMaxImages says otherwise.
func (p *patient) imagesOnNodes(ctx context.Context) map[string]bool {
	list, err := p.Client.Clientset.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	there := map[string]bool{}
	for _, node := range list.Items {
		for _, image := range node.Status.Images {
			for _, name := range image.Names {
				there[name] = true
			}
		}
	}
	return there
}

// pullSecrets are the credentials of the pod's image pull secrets, as far as they
// may be read.
func (p *patient) pullSecrets(ctx context.Context, spec corev1.PodSpec) *configfile.ConfigFile {
	all := configfile.New("")
	core := p.Client.Clientset.CoreV1()
	names := spec.ImagePullSecrets
	account := spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	if a, err := core.ServiceAccounts(p.Client.Namespace).Get(ctx, account, metav1.GetOptions{}); err == nil && len(names) == 0 {
		names = a.ImagePullSecrets // as admission does
	}
	for _, name := range names {
		secret, err := core.Secrets(p.Client.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		if err != nil {
			continue
		}
		file, err := dockerconfig.LoadFromReader(bytes.NewReader(secret.Data[corev1.DockerConfigJsonKey]))
		if err != nil {
			continue
		}
		for host, auth := range file.AuthConfigs {
			all.AuthConfigs[host] = auth
		}
	}
	return all
}
