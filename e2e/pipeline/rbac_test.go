//go:build e2e

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
)

// become makes the commands those of a user who has one Role of docs/rbac.yaml,
// and no other right. probe is a command that works once the binding is seen.
func (s *stage) become(roleName string, probe ...string) {
	s.Helper()
	role, user := s.shippedRole(roleName), roleName+"-"+s.CLI.Namespace
	rbac := s.Client.RbacV1()
	if _, err := rbac.Roles(s.CLI.Namespace).Create(s.Context(), role, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	if _, err := rbac.RoleBindings(s.CLI.Namespace).Create(s.Context(), binding, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(s.CLI.Kubeconfig)
	if err != nil {
		s.Fatal(err)
	}
	config.AuthInfos[config.Contexts[config.CurrentContext].AuthInfo].Impersonate = user
	// Of the test's own: the administrator's is for what the test looks at.
	kubeconfig := filepath.Join(s.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		s.Fatal(err)
	}
	s.Env = append(s.Env, "KUBECONFIG="+kubeconfig)
	s.Eventually("the binding to be seen", func(ctx context.Context) error {
		result, err := s.CLI.Run(ctx, nil, probe...)
		if err == nil && result.Code != 0 {
			err = fmt.Errorf("%s", result.Stderr)
		}
		return err
	})
}

func (s *stage) shippedRole(name string) *rbacv1.Role {
	s.Helper()
	file, err := os.Open(filepath.Join(s.Root, "docs", "rbac.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close()
	for roles := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		var role rbacv1.Role
		if err := roles.Decode(&role); errors.Is(err, io.EOF) {
			s.Fatalf("docs/rbac.yaml has no Role %s", name)
		} else if err != nil {
			s.Fatal(err)
		}
		if role.Name == name {
			return &role
		}
	}
}

// TestBuildRole starts a builder, builds and removes it with Role okteto-build
// alone.
func TestBuildRole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.become("okteto-build", "build", "--prune")
	s.write(map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	for range 2 { // one starts it, one finds it
		if ref := s.MustOkteto("build", "-t", "okteto.dev/app"); !strings.Contains(ref, "@sha256:") {
			t.Errorf("build prints %q", ref)
		}
	}
	s.MustOkteto("build", "--prune")
	if left := s.kubectl("get", "all,pvc,secret,configmap", "-l", "dev.okteto.com/builder", "-o", "name"); left != "" {
		t.Errorf("after --prune there are still: %s", left)
	}
}

// TestPipelineRole deploys and destroys with Role okteto-pipeline alone: its
// command makes a ConfigMap, which the Role allows.
func TestPipelineRole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.become("okteto-pipeline", "pipeline", "list")
	before := s.objects()
	s.write(map[string]string{"okteto-pipeline.yml": "deploy: [kubectl create configmap made]\n"})
	s.MustOkteto("pipeline", "deploy", "--name", name, "--wait")
	if r := s.status(); r.Status != "deployed" {
		t.Errorf("status %q: %s", r.Status, r.Message)
	}
	if out := s.MustOkteto("pipeline", "list"); !strings.Contains(out, name) {
		t.Errorf("list prints %q", out)
	}
	s.MustOkteto("pipeline", "destroy", "--name", name)
	if after := s.objects(); !slices.Equal(after, before) {
		t.Errorf("after the destroy there are %v, want %v", after, before)
	}
}
