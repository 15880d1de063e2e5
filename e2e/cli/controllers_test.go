//go:build e2e

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"okteto/e2e/harness"
	"okteto/internal/contract"
)

// sources are the workload as a repository has it, of a given release.
func (l *laptop) sources(release string) *appsv1.Deployment {
	l.Helper()
	d, err := l.deployment(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	env := []corev1.EnvVar{{Name: "RELEASE", Value: release}}
	d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, env...)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: d.Name, Namespace: d.Namespace, Labels: d.Labels},
		Spec:       d.Spec,
	}
}

func (l *laptop) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return l.Client.AppsV1().Deployments(l.Namespace).Get(ctx, harness.SampleName, metav1.GetOptions{})
}

// develops waits until the environment is made from a release, and works.
func (l *laptop) develops(release string) {
	l.Helper()
	l.Eventually("the pod of release "+release, func(ctx context.Context) error {
		result, err := l.CLI.Run(ctx, nil, "exec", "--", "printenv", "RELEASE")
		if err == nil && result.Stdout != release+"\n" {
			err = fmt.Errorf("it is of %q: %s", result.Stdout, result.Stderr)
		}
		return err
	})
	l.EditServed("beside release " + release)
	l.Reaches(contract.StateReady)
}

// marked waits until the original is at rest, and in development mode.
func (l *laptop) marked() {
	l.Helper()
	l.Eventually("the original to rest", func(ctx context.Context) error {
		d, err := l.deployment(ctx)
		if err == nil && (*d.Spec.Replicas != 0 || d.Labels[contract.DevLabel] != "true") {
			err = fmt.Errorf("it has %d replicas and the labels %v", *d.Spec.Replicas, d.Labels)
		}
		return err
	})
}

// givesBack ends the environment; what is there then is what the sources say.
func (l *laptop) givesBack(want *appsv1.Deployment) {
	l.Helper()
	l.MustOkteto("down")
	l.Eventually("the workload to be as its sources say", func(ctx context.Context) error {
		d, err := l.deployment(ctx)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want.Spec, d.Spec) + cmp.Diff(want.Labels, d.Labels); diff != "" {
			return errors.New(diff)
		}
		for _, mark := range []string{contract.ReplicasAnnotation, contract.DevModeAnnotation, contract.VersionAnnotation} {
			if _, ok := d.Annotations[mark]; ok {
				return fmt.Errorf("it still has the annotation %s", mark)
			}
		}
		twins, err := l.Client.AppsV1().Deployments(l.Namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.CloneLabel})
		if err == nil && len(twins.Items) > 0 {
			err = fmt.Errorf("%s is still there", twins.Items[0].Name)
		}
		return err
	})
}

// Who deploys by deleting and creating (kubectl replace --force, helm upgrade
// --force) does not end the environment: it goes on, made from the new workload.
func TestOriginalMadeAgain(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	sources := l.sources("two")
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	pid := l.UpPID()
	deployments := l.Client.AppsV1().Deployments(l.Namespace)
	background := metav1.DeletePropagationBackground
	if err := deployments.Delete(t.Context(), sources.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	l.Eventually("the workload to be created", func(ctx context.Context) error {
		_, err := deployments.Create(ctx, sources, metav1.CreateOptions{FieldManager: "kubectl-replace"})
		return err
	})
	l.develops("two")
	l.marked()
	if l.UpPID() != pid {
		t.Error("another process is the up")
	}
	l.givesBack(sources)
}

// Who replaces the whole object (kubectl replace, a sync with Replace=true) takes the
// marks of development mode away without knowing them.
func TestOriginalReplaced(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	sources := l.sources("two")
	l.MustOkteto("up", "--detach")
	l.EditServed("before")
	pid := l.UpPID()
	if _, err := l.Client.AppsV1().Deployments(l.Namespace).Update(t.Context(), sources, metav1.UpdateOptions{FieldManager: "kubectl-replace"}); err != nil {
		t.Fatal(err)
	}
	l.develops("two")
	l.marked()
	if l.UpPID() != pid {
		t.Error("another process is the up")
	}
	l.givesBack(sources)
}

// A GitOps controller that heals itself applies what its repository says, again and
// again, also while down gives the workload back, and a new release in between.
func TestSelfHealing(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	one, two := l.sources("one"), l.sources("two")
	heal := l.heals(one)
	l.Eventually("the first release", func(ctx context.Context) error {
		d, err := l.deployment(ctx)
		env := corev1.EnvVar{Name: "RELEASE", Value: "one"}
		if err == nil && !slices.Contains(d.Spec.Template.Spec.Containers[0].Env, env) {
			err = errors.New("it is not applied")
		}
		return err
	})
	l.MustOkteto("up", "--detach")
	l.develops("one")
	w := l.witness()
	for range 3 {
		w.edit()
		w.editInPod()
		w.settled()
	}
	w.survives()
	heal(two)
	l.develops("two")
	l.givesBack(two)
}

// heals starts a controller that applies the sources every second, with force; heal
// gives it others. It ends with the test.
func (l *laptop) heals(sources *appsv1.Deployment) (heal func(*appsv1.Deployment)) {
	l.Helper()
	var mu sync.Mutex // protects sources
	ctx, cancel := context.WithCancel(l.background())
	ended := make(chan struct{})
	l.Cleanup(func() {
		cancel()
		<-ended
	})
	force := true
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for ctx.Err() == nil {
			mu.Lock()
			body, err := yaml.Marshal(sources)
			mu.Unlock()
			if err == nil {
				_, err = l.Client.AppsV1().Deployments(l.Namespace).Patch(ctx, harness.SampleName, types.ApplyPatchType, body,
					metav1.PatchOptions{FieldManager: "argocd-controller", Force: &force})
			}
			if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) {
				l.Errorf("the controller cannot apply: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
	return func(next *appsv1.Deployment) {
		mu.Lock()
		defer mu.Unlock()
		sources = next
	}
}
