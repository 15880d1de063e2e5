//go:build e2e

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// widgets is a pipeline with a kind of objects of its own, and with what belongs
// to the cluster. GROUP is replaced by the test's own.
const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const widget = `apiVersion: GROUP/v1
kind: Widget
metadata: {name: NAME, namespace: WHERE, finalizers: ["GROUP/test"]}
`

const clusterWide = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader.GROUP}
rules: [{apiGroups: [GROUP], resources: [widgets], verbs: [get]}]
---
apiVersion: v1
kind: Namespace
metadata: {name: ELSEWHERE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: made, namespace: ELSEWHERE}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: ELSEWHERE}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`

const noFinalizers = `{"metadata": {"finalizers": null}}`

// TestPipelineClusterWide: what a pipeline creates outside of its namespace goes
// with it, custom resources first; a definition of which others have objects and a
// namespace with volumes stay.
func TestPipelineClusterWide(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	group, elsewhere := s.CLI.Namespace+".example.com", s.CLI.Namespace+"-b"
	definition, role, space := "crd/widgets."+group, "clusterrole/reader."+group, "namespace/"+elsewhere
	of := func(text string, more ...string) string {
		return strings.NewReplacer(append(more, "GROUP", group, "ELSEWHERE", elsewhere)...).Replace(text)
	}
	mine := []string{s.CLI.Namespace, elsewhere}
	s.write(map[string]string{
		"widgets.yml": of(widgets),
		"cluster.yml": of(clusterWide),
		"mine.yml":    of(widget, "NAME", "mine", "WHERE", mine[0]) + "---\n" + of(widget, "NAME", "mine", "WHERE", mine[1]),
		"others.yml":  strings.Replace(of(widget, "NAME", "others", "WHERE", "default"), `, finalizers: ["`+group+`/test"]`, "", 1),
		"okteto-pipeline.yml": `deploy:
  - kubectl apply -f widgets.yml
  - kubectl wait --for=condition=Established ` + definition + `
  - kubectl apply -f cluster.yml
  - kubectl apply -f mine.yml
  - kubectl create configmap controller
`,
	})
	t.Cleanup(func() {
		if t.Failed() { // else there are none that hold the definition
			for _, namespace := range mine {
				s.try("patch", "widgets."+group, "mine", "-n", namespace, "--type", "merge", "--patch", noFinalizers)
			}
		}
		s.removeAll(definition, role, space)
	})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	s.kubectl("apply", "-n", "default", "-f", filepath.Join(s.Dir, "others.yml"))

	b := s.background("pipeline", "destroy", "--name", name)
	for _, namespace := range mine {
		s.Eventually("the deletion of the widget in "+namespace, func(context.Context) error {
			if s.kubectl("get", "widgets."+group, "mine", "-n", namespace, "-o", "jsonpath={.metadata.deletionTimestamp}") == "" {
				return errors.New("it is not being deleted")
			}
			return nil
		})
	}
	// What finalizes them still runs.
	s.kubectl("get", "configmap/controller", definition, role, space)
	for _, namespace := range mine {
		s.kubectl("patch", "widgets."+group, "mine", "-n", namespace, "--type", "merge", "--patch", noFinalizers)
	}
	if code := s.code(b); code != 0 {
		t.Fatalf("exit code %d: %s", code, b.output)
	}
	for _, want := range []string{"kept: customresourcedefinition/widgets." + group + ", which others use: widget/others in default", "persistentvolumeclaim/data in " + elsewhere, space} {
		if !strings.Contains(b.output.String(), want) {
			t.Errorf("the destroy does not say %q: %s", want, b.output)
		}
	}
	s.gone(role, "configmap/controller", "configmap/made -n "+elsewhere)
	s.kubectl("get", definition, space, "widgets."+group+"/others", "-n", "default")

	s.MustOkteto("pipeline", "destroy", "--name", name, "--volumes")
	s.gone(space)
	s.kubectl("delete", "widgets."+group, "others", "-n", "default")
	s.MustOkteto("pipeline", "destroy", "--name", name)
	s.gone(definition)
}

// gone fails the test if one of the objects is there; each may have options.
func (s *stage) gone(objects ...string) {
	s.Helper()
	for _, object := range objects {
		args := append([]string{"get", "--ignore-not-found", "-o", "name"}, strings.Fields(object)...)
		if out := s.kubectl(args...); out != "" {
			s.Errorf("%s is there", object)
		}
	}
}

// removeAll is for what a failed test leaves outside of its namespace.
func (s *stage) removeAll(objects ...string) {
	s.try(append([]string{"delete", "--ignore-not-found", "--wait=false"}, objects...)...)
}

// try is kubectl at the end of a test, whose context has ended.
func (s *stage) try(args ...string) {
	args = append([]string{"--kubeconfig", s.CLI.Kubeconfig}, args...)
	if out, err := exec.Command("kubectl", args...).CombinedOutput(); err != nil {
		s.Logf("kubectl %v: %v: %s", args, err, out)
	}
}

// TestPipelineOfSomeoneWithMoreRights: a destroy that may not see or delete all
// that was created removes what it may, says what is left, and can be finished.
func TestPipelineOfSomeoneWithMoreRights(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	role := "clusterrole/" + s.CLI.Namespace
	t.Cleanup(func() { s.removeAll(role) })
	s.write(map[string]string{"okteto-pipeline.yml": "deploy:\n  - kubectl create configmap made\n  - kubectl create service clusterip made --tcp 80\n  - kubectl create " + strings.Replace(role, "/", " ", 1) + " --verb get --resource pods\n"})
	s.MustOkteto("pipeline", "deploy", "--name", name)
	admin := s.Env
	s.become("okteto-pipeline", "pipeline", "list")
	result := s.Okteto(nil, "pipeline", "destroy", "--name", name)
	for _, want := range []string{"clusterroles.rbac.authorization.k8s.io cluster-wide", "services in namespace " + s.CLI.Namespace, "someone with more rights"} {
		if result.Code != 1 || !strings.Contains(result.Stderr, want) {
			t.Errorf("exit code %d, want 1 and %q: %s", result.Code, want, result.Stderr)
		}
	}
	if strings.Contains(result.Stderr, "ingresses") {
		t.Errorf("kinds that the pipeline has none of are named: %s", result.Stderr)
	}
	s.gone("configmap/made")
	s.kubectl("get", role, "service/made")

	// One who may list services, and not delete them.
	s.kubectl("create", "role", "lister", "--verb", "list", "--resource", "services")
	s.kubectl("create", "rolebinding", "lister", "--role", "lister", "--user", "okteto-pipeline-"+s.CLI.Namespace)
	s.Eventually("the refusal to delete the service", func(context.Context) error {
		result := s.Okteto(nil, "pipeline", "destroy", "--name", name)
		if result.Code != 1 || !strings.Contains(result.Stderr, "not allowed to delete what pipeline "+name+" created\n  service/made in "+s.CLI.Namespace) {
			return fmt.Errorf("exit code %d: %s", result.Code, result.Stderr)
		}
		return nil
	})
	s.Env = admin
	if r := s.status(); r.Status != "destroying" || !strings.Contains(r.Message, "not allowed to delete") {
		t.Errorf("recorded: %+v", r)
	}
	s.MustOkteto("pipeline", "destroy", "--name", name)
	s.gone(role, "service/made")
}
