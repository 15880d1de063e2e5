//go:build e2e

package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"

	"okteto/e2e/harness"
)

// Two developers work in one namespace, each on a workload of their own.
func TestTwoDevelopers(t *testing.T) {
	t.Parallel()
	a := newLaptop(t)
	objects, err := os.ReadFile(filepath.Join(a.Root, "e2e", "samples", harness.SampleName, "k8s.yml"))
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "web.yml")
	web := strings.NewReplacer("name: api", "name: web", "app: api", "app: web").Replace(string(objects))
	if err := os.WriteFile(other, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Apply(t.Context(), a.Namespace, other); err != nil {
		t.Fatal(err)
	}
	b := a.NewCLI(t.TempDir(), t.TempDir(), a.Namespace)
	manifest := "name: web\nimage: okteto/devbase:dev\nimagePullPolicy: IfNotPresent\nworkdir: /app\nsync:\n  - .:/app\n"
	if err := os.WriteFile(filepath.Join(b.Dir, "okteto.yml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	a.MustOkteto("up", "--detach")
	if _, err := b.Succeed(t.Context(), "up", "--detach"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = b.Run(a.background(), nil, "down", "--all") })
	a.EditServed("beside another developer")
	if result, err := b.Succeed(t.Context(), "exec", "--", "sh", "-c", "echo of b > made; pwd"); err != nil || result.Stdout != "/app\n" {
		t.Errorf("exec of the other: %q, %v", result.Stdout, err)
	}
	a.Eventually("the other's file", func(context.Context) error {
		_, err := os.Stat(filepath.Join(b.Dir, "made"))
		return err
	})
	if _, err := os.Stat(filepath.Join(a.Dir, "made")); err == nil {
		t.Error("one developer has the other's file")
	}
	if _, err := b.Succeed(t.Context(), "down"); err != nil {
		t.Fatal(err)
	}
	a.EditServed("after the other left")
	a.MustOkteto("down")
}

// All of up, exec, status and down works for who has the Role of docs/rbac.yaml in
// the namespace, and no other right.
func TestShippedRole(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	user := "developer-" + l.Namespace
	l.grant(user)
	l.become(user)
	l.Eventually("the binding to be seen", func(ctx context.Context) error {
		result, err := l.CLI.Run(ctx, nil, "up", "--dry-run")
		if err == nil && result.Code != 0 {
			err = fmt.Errorf("%s", result.Stderr)
		}
		return err
	})
	l.MustOkteto("up", "--detach")
	l.EditServed("with the Role alone")
	if result := l.Okteto(nil, "exec", "--", "sh", "-c", "exit 8"); result.Code != 8 {
		t.Errorf("exec: exit code %d: %s", result.Code, result.Stderr)
	}
	l.MustOkteto("status")
	if out := l.MustOkteto("doctor"); strings.Contains(out, "✗") {
		t.Errorf("doctor finds fault: %s", out)
	}
	l.MustOkteto("down")
	l.Restored()
}

// grant gives a user the first Role of docs/rbac.yaml.
func (l *laptop) grant(user string) {
	l.Helper()
	file, err := os.Open(filepath.Join(l.Root, "docs", "rbac.yaml"))
	if err != nil {
		l.Fatal(err)
	}
	defer file.Close()
	var role rbacv1.Role
	if err := yaml.NewYAMLOrJSONDecoder(file, 4096).Decode(&role); err != nil {
		l.Fatal(err)
	}
	rbac := l.Client.RbacV1()
	if _, err := rbac.Roles(l.Namespace).Create(l.Context(), &role, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	if _, err := rbac.RoleBindings(l.Namespace).Create(l.Context(), binding, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
}

// become makes this laptop's kubeconfig that of a user.
func (l *laptop) become(user string) {
	l.Helper()
	config, err := clientcmd.LoadFromFile(l.CLI.Kubeconfig)
	if err != nil {
		l.Fatal(err)
	}
	config.AuthInfos[config.Contexts[config.CurrentContext].AuthInfo].Impersonate = user
	if err := clientcmd.WriteToFile(*config, l.CLI.Kubeconfig); err != nil {
		l.Fatal(err)
	}
}

// An IDE comes in as VS Code does: by the entry in the SSH configuration, with a
// script on standard input that starts its server in the pod, and a SOCKS proxy
// through which it then talks HTTP to that server.
func TestIDEBootstrap(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.MustOkteto("up", "--detach")
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Timeout)
	defer cancel()
	ssh := exec.CommandContext(ctx, "ssh", "-F", filepath.Join(l.Home, ".ssh", "config"),
		"-v", "-T", "-D", fmt.Sprint(port), "-o", "ConnectTimeout=15", harness.SampleName+".okteto", "sh")
	script := `uname -s
mkdir -p ~/.ide-server 2>/dev/null || cd /tmp
echo "served to the IDE" > ide.txt
python3 -u -m http.server --bind 127.0.0.1 0 > port.txt 2>&1 < /dev/null &
while ! grep -q 'port [0-9]' port.txt; do sleep 0.1; done
echo "listeningOn==$(sed -n 's/.*port \([0-9]*\).*/\1/p' port.txt)=="
wait
`
	ssh.Stdin = strings.NewReader(script)
	stdout, err := ssh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = ssh.Wait() }()
	remote := awaitListening(t, stdout)
	socks := &url.URL{Scheme: "socks5", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(socks), DisableKeepAlives: true}}
	l.Eventually("an answer through the proxy", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+remote+"/ide.txt", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && string(body) != "served to the IDE\n" {
			err = fmt.Errorf("it is %q", body)
		}
		return err
	})
	l.MustOkteto("down")
}
