//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// TestBadInput gives up what a person may give it by mistake: each time the
// error names the thing and says what to do, the exit code is 1, and neither
// the cluster nor the state folder has changed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	good, err := os.ReadFile(filepath.Join(s.Dir, "okteto.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		// change of the manifest: what by what.
		old, new string
		env      []string
		args     []string
		// want are patterns that the error must match.
		want []string
	}{
		{name: "no cluster", env: []string{"KUBECONFIG=" + s.write("nowhere.yml", unreachable)}, want: []string{`127\.0\.0\.1:1`}},
		{name: "no kubeconfig", env: []string{"KUBECONFIG=" + filepath.Join(s.Home, "none")}, want: []string{`(?i)kubeconfig`}},
		{name: "wrong context", args: []string{"--context", "nowhere"}, want: []string{"nowhere", "kind-okteto-e2e"}},
		{name: "namespace missing", args: []string{"--namespace", "not-there"}, want: []string{"not-there"}},
		{name: "deployment missing", old: "name: api", new: "name: not-there", want: []string{"not-there", s.Namespace}},
		{name: "deployment ambiguous", old: "name: api", new: "name: api\nlabels:\n  team: none", want: []string{"team"}},
		{name: "unknown field", old: "workdir:", new: "wrokdir:", want: []string{`okteto\.yml`, `(line |:)\d+`, "wrokdir", "workdir"}},
		{name: "wrong type", old: "sync:", new: "environment: 7\nsync:", want: []string{`okteto\.yml`, `(line |:)\d+`, "environment"}},
		{name: "broken YAML", old: "sync:", new: "sync: [", want: []string{`okteto\.yml`, `(line |:)\d+`}},
		{name: "port taken twice", old: "forward:", new: "forward:\n  - 1:1\n  - 1:2\nreverse:", want: []string{`\b1\b`}},
		{name: "manifest missing", args: []string{"--file", "absent.yml"}, want: []string{`absent\.yml`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			manifest := strings.Replace(string(good), c.old, c.new, 1)
			if c.old != "" && manifest == string(good) {
				t.Fatalf("the manifest has no %q", c.old)
			}
			s.write("okteto.yml", manifest)
			cli := *s.CLI
			cli.Env = c.env
			s.refused(t, &cli, append([]string{"up", "--detach"}, c.args...), c.want)
		})
	}
}

// TestImageCannotBePulled ends up with the reason, not with a timeout.
func TestImageCannotBePulled(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	s.MustRewrite("okteto.yml", `(?m)^image: .*$`, "image: localhost:1/absent:none")
	result := s.Okteto(nil, "up", "--detach")
	if result.Code != 1 || !strings.Contains(result.Stderr, "localhost:1/absent:none") {
		t.Errorf("exit code %d, stderr %s", result.Code, result.Stderr)
	}
	s.MustOkteto("down")
	s.Restored()
}

// refused checks that a command fails with an error that matches the patterns,
// and that it has left the namespace and the state folder as they were.
func (s sample) refused(t *testing.T, cli *harness.CLI, args []string, want []string) {
	t.Helper()
	before, files := s.objects(t), s.stateFiles(t)
	result, err := cli.Run(t.Context(), nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	if result.Code != 1 {
		t.Errorf("exit code %d, want 1\n%s%s", result.Code, result.Stdout, result.Stderr)
	}
	for _, pattern := range want {
		if !regexp.MustCompile(pattern).MatchString(result.Stderr) {
			t.Errorf("the error has nothing that matches %s:\n%s", pattern, result.Stderr)
		}
	}
	if diff := cmp.Diff(before, s.objects(t)); diff != "" {
		t.Errorf("the namespace has changed:\n%s", diff)
	}
	if diff := cmp.Diff(files, s.stateFiles(t)); diff != "" {
		t.Errorf("the state folder has changed:\n%s", diff)
	}
}

// objects lists what is in the namespace, with the versions that any change
// moves on; pods are left out, since their status changes by itself.
func (s sample) objects(t *testing.T) []string {
	t.Helper()
	var all []string
	deployments, err := s.Client.AppsV1().Deployments(s.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range deployments.Items {
		all = append(all, fmt.Sprintf("deployment %s generation %d labels %v annotations %v", o.Name, o.Generation, o.Labels, o.Annotations))
	}
	secrets, err := s.Client.CoreV1().Secrets(s.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range secrets.Items {
		all = append(all, fmt.Sprintf("secret %s version %s", o.Name, o.ResourceVersion))
	}
	claims, err := s.Client.CoreV1().PersistentVolumeClaims(s.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range claims.Items {
		all = append(all, fmt.Sprintf("claim %s version %s", o.Name, o.ResourceVersion))
	}
	return all
}

// stateFiles lists what is in ~/.okteto: no mistake may leave a trace of an
// environment there.
func (s sample) stateFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	root := filepath.Join(s.Home, contract.StateFolder)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// write makes a file of the project and returns its path.
func (s sample) write(name, content string) string {
	s.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.Fatal(err)
	}
	return path
}

const unreachable = `apiVersion: v1
kind: Config
current-context: kind-okteto-e2e
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: kind-okteto-e2e, context: {cluster: c, user: u}}]
`
