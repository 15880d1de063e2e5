//go:build e2e

package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	kubeapi "okteto/cli/kube/api"
	"okteto/cli/workload"
	"okteto/internal/contract"
)

// as returns a client that acts as a user who has the given Role, and nothing
// else, in the namespace.
func (s *space) as(user string, role *rbacv1.Role) *kubeapi.Clientset {
	s.Helper()
	ctx := s.Context()
	if role != nil {
		if _, err := s.Client.RbacV1().Roles(s.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		}
		if _, err := s.Client.RbacV1().RoleBindings(s.Namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
	}
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	client, err := kubeapi.New(config)
	if err != nil {
		s.Fatal(err)
	}
	return client
}

// shippedRole is docs/rbac.yaml.
func (s *space) shippedRole() *rbacv1.Role {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.Root, "docs", "rbac.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict(content, &role); err != nil {
		s.Fatal(err)
	}
	return &role
}

// TestShippedRoleIsEnough: all of a life with a volume, with nothing but the
// Role of docs/rbac.yaml.
func TestShippedRoleIsEnough(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	user := "dev-" + s.Namespace
	target := s.target(s.plain())
	target.Client = s.as(user, s.shippedRole())
	// Bindings take a moment to be seen.
	s.eventually("the binding to work", func(ctx context.Context) error {
		_, err := workload.Find(ctx, target)
		return err
	})
	a := s.up(target, s.options())
	changes, err := workload.Watch(t.Context(), target, a)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := workload.SecretData(t.Context(), target); err != nil || len(data) == 0 {
		t.Errorf("the Secret cannot be read back: %v", err)
	}
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(t.Context(), a.Pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.change(changes, workload.PodGone)
	if _, err := workload.WaitForPod(t.Context(), target, a, nil); err != nil {
		t.Error(err)
	}
	s.down(target, workload.DownOptions{Volumes: true, Wait: true})
	s.restored(before)
}

// TestRoleHasNothingToSpare: each rule of the Role is there for something.
func TestRoleHasNothingToSpare(t *testing.T) {
	s := newSpace(t, nil)
	role := s.shippedRole()
	seen := map[string]bool{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				key := resource + " " + verb
				if verb == "*" || resource == "*" || seen[key] {
					t.Errorf("%s is too much, or twice", key)
				}
				seen[key] = true
			}
		}
	}
	for _, unwanted := range []string{"secrets list", "secrets watch", "pods create", "pods delete", "namespaces list"} {
		if seen[unwanted] {
			t.Errorf("nothing needs %s", unwanted)
		}
	}
}

// TestRefusedWithoutRights: whatever is missing, a clear refusal and nothing
// left behind.
func TestRefusedWithoutRights(t *testing.T) {
	s := newSpace(t, nil)
	before := s.create(api(nil))
	for i, missing := range []string{"deployments create", "deployments patch", "secrets create", "persistentvolumeclaims create"} {
		t.Run(missing, func(t *testing.T) {
			role := without(s.shippedRole(), missing)
			role.Name = fmt.Sprintf("partial-%d", i)
			target := s.target(s.plain())
			target.Client = s.as("partial-"+s.Namespace+fmt.Sprint(i), role)
			s.eventually("the binding to work", func(ctx context.Context) error {
				_, err := workload.Find(ctx, target)
				return err
			})
			_, err := workload.Activate(t.Context(), target, s.options(), nil)
			if !apierrors.IsForbidden(errors.Unwrap(err)) && !apierrors.IsForbidden(err) {
				t.Errorf("got %v", err)
			}
			s.restored(before)
			// A claim goes only when its last pod has gone.
			s.eventually("the claim to be gone", func(ctx context.Context) error {
				_, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).Get(ctx, "api-okteto", metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				return errors.Join(errors.New("it is still there"), err)
			})
		})
	}
	t.Run("no right to read at all", func(t *testing.T) {
		target := s.target(s.plain())
		target.Client = s.as("nobody-"+s.Namespace, nil)
		if _, err := workload.Find(t.Context(), target); !apierrors.IsForbidden(err) {
			t.Errorf("got %v", err)
		}
	})
}

// TestRoleWithoutWatch: what may be listed but not watched is looked at again and
// again, and no change is missed.
func TestRoleWithoutWatch(t *testing.T) {
	s := newSpace(t, nil)
	s.create(api(nil))
	target := s.target(s.plain("persistentVolume: {enabled: false}"))
	role := s.shippedRole()
	for _, resource := range []string{"deployments", "statefulsets", "pods"} {
		role = without(role, resource+" watch")
	}
	target.Client = s.as("blind-"+s.Namespace, role)
	s.eventually("the binding to work", func(ctx context.Context) error {
		_, err := workload.Find(ctx, target)
		return err
	})
	a := s.up(target, s.options())
	changes, err := workload.Watch(t.Context(), target, a)
	if err != nil {
		t.Fatal(err)
	}
	s.applied("kubectl", `{"template":{"metadata":{"annotations":{"release":"two"}}}}`)
	s.change(changes, workload.SpecChanged)
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(t.Context(), a.Pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.change(changes, workload.PodGone)
	if _, err := workload.WaitForPod(t.Context(), target, a, nil); err != nil {
		t.Fatal(err)
	}
	s.down(target, workload.DownOptions{})
	s.change(changes, workload.Deactivated)
}

func without(role *rbacv1.Role, missing string) *rbacv1.Role {
	reduced := role.DeepCopy()
	reduced.Rules = nil
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			kept := rbacv1.PolicyRule{APIGroups: rule.APIGroups, Resources: []string{resource}}
			for _, verb := range rule.Verbs {
				if resource+" "+verb != missing {
					kept.Verbs = append(kept.Verbs, verb)
				}
			}
			reduced.Rules = append(reduced.Rules, kept)
		}
	}
	return reduced
}

func TestNamespaces(t *testing.T) {
	t.Run("forbidden by label", func(t *testing.T) {
		s := newSpace(t, map[string]string{contract.NotAllowedLabel: "true"})
		target := s.target(s.plain())
		if _, err := workload.Find(t.Context(), target); !errors.Is(err, workload.ErrNotAllowed) {
			t.Errorf("got %v", err)
		}
		if _, err := workload.Activate(t.Context(), target, s.options(), nil); !errors.Is(err, workload.ErrNotAllowed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		s := newSpace(t, nil)
		target := s.target(s.plain())
		target.Namespace = "surely-" + s.Namespace
		if _, err := workload.Find(t.Context(), target); !apierrors.IsNotFound(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		s := newSpace(t, nil)
		if _, err := workload.Find(t.Context(), s.target(s.plain())); !errors.Is(err, workload.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// restricted namespaces take the pod with and without a volume, as a user other
// than root and with a read-only root.
func TestRestrictedNamespace(t *testing.T) {
	for name, lines := range map[string][]string{
		"volume":           nil,
		"without a volume": {"persistentVolume: {enabled: false}", "secrets: [okteto.yml:/run/manifest]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
			before := s.create(api(restrict))
			dev := s.plain(lines...)
			target, options := s.target(dev), s.options()
			secrets, err := workload.UserSecrets(dev)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range secrets {
				options.SecretData[k] = v
			}
			a := s.up(target, options)
			pod, err := s.Client.CoreV1().Pods(s.Namespace).Get(t.Context(), a.Pod.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
				if status.RestartCount > 0 {
					t.Errorf("container %s was restarted: %v", status.Name, status.LastTerminationState)
				}
			}
			s.down(target, workload.DownOptions{Volumes: true})
			s.restored(before)
		})
	}
}
