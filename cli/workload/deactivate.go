package workload

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/internal/contract"
)

// deactivation is one run of Deactivate.
type deactivation struct {
	Target
	o      DownOptions
	report DownReport
}

func deactivate(ctx context.Context, t Target, o DownOptions) (*DownReport, error) {
	d := &deactivation{Target: t, o: o}
	twins, err := d.twins(ctx)
	if err != nil {
		return nil, err
	}
	originals, err := d.originals(ctx, twins)
	if err != nil {
		return nil, err
	}
	for _, original := range originals {
		if err := announce(ctx, t, original); err != nil {
			return nil, err
		}
	}
	// What runs the development containers goes before the originals run again,
	// which may need the volumes.
	for _, twin := range twins {
		if err := remove(ctx, t, twin); err != nil {
			return nil, err
		}
		d.step(Step{Verb: verbDeleted, Kind: string(twin.Kind()), Name: twin.Meta().Name})
	}
	if d.mustWait(ctx, originals) && len(twins) > 0 {
		if err := d.awaitPods(ctx, podEnded, "the development pod to end"); err != nil {
			d.report.Warnings = append(d.report.Warnings, err.Error())
		}
	}
	for _, original := range originals {
		if err := d.restore(ctx, original); err != nil {
			return nil, err
		}
	}
	if err := d.removeObjects(ctx); err != nil {
		return nil, err
	}
	if err := d.claim(ctx); err != nil {
		return nil, err
	}
	if o.Wait {
		if err := d.wait(ctx, originals); err != nil {
			return nil, err
		}
	}
	d.report.Active = len(d.report.Steps) > 0
	return &d.report, nil
}

func (d *deactivation) step(s Step) {
	d.report.Steps = append(d.report.Steps, s)
	if d.o.Report != nil {
		d.o.Report(s)
	}
}

// twins of this environment and of its services, wherever their originals are.
func (d *deactivation) twins(ctx context.Context) ([]*Workload, error) {
	found, err := list(ctx, d.Target, contract.CloneLabel, "")
	if err != nil {
		return nil, err
	}
	sandboxes, err := list(ctx, d.Target, contract.DevLabel+"=true,!"+contract.CloneLabel, "")
	if err != nil {
		return nil, err
	}
	var own []*Workload
	for _, w := range append(found, sandboxes...) {
		podLabels := labels.Set(w.Template().Labels)
		mine := developedAs(d.Dev, podLabels.Get(contract.InteractiveLabel)) || podLabels.Get(contract.DetachedLabel) == d.Dev.Name
		if mine && isTwin(w) {
			own = append(own, w)
		}
	}
	return own, nil
}

// originals are those of the twins, and the one that the manifest names, which
// is all that is left when an earlier run was interrupted.
func (d *deactivation) originals(ctx context.Context, twins []*Workload) ([]*Workload, error) {
	var all []*Workload
	seen := map[string]bool{}
	add := func(w *Workload) {
		if key := w.String(); !seen[key] && (remembers(w) || translatedInPlace(w)) {
			seen[key] = true
			all = append(all, w)
		}
	}
	for _, twin := range twins {
		original, err := get(ctx, d.Target, twin.Kind(), strings.TrimSuffix(twin.Meta().Name, contract.TwinSuffix))
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look up the original of %s: %w", twin, err)
		}
		add(original)
	}
	wanted := []lookup{{d.Dev.Name, d.Dev.Selector}}
	for _, s := range d.Dev.Services {
		wanted = append(wanted, lookup{s.Name, s.Selector})
	}
	for _, l := range wanted {
		w, err := lookUp(ctx, d.Target, l.name, l.selector, d.Dev.Kind)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAmbiguous) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = d.checkHolder(ctx, w, twins)
		switch {
		case err == nil:
			add(w)
		case !errors.Is(err, ErrHeld):
			return nil, err
		}
	}
	return all, nil
}

type lookup struct {
	name     string
	selector map[string]string
}

// checkHolder refuses an original whose twin belongs to another environment.
func (d *deactivation) checkHolder(ctx context.Context, w *Workload, twins []*Workload) error {
	name := w.Meta().Name + contract.TwinSuffix
	for _, twin := range twins {
		if twin.Kind() == w.Kind() && twin.Meta().Name == name {
			return nil
		}
	}
	_, err := get(ctx, d.Target, w.Kind(), name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	return fmt.Errorf("%w: %s", ErrHeld, w)
}

func (d *deactivation) restore(ctx context.Context, w *Workload) error {
	if translatedInPlace(w) {
		restored, err := restoreInPlace(ctx, d.Target, w)
		if err != nil {
			return err
		}
		d.step(Step{Verb: verbRestored, Kind: string(w.Kind()), Name: w.Meta().Name, Detail: fmt.Sprintf("%d replicas", restored.Replicas())})
		return nil
	}
	// It has changed since it was looked up: see announce.
	w, err := get(ctx, d.Target, w.Kind(), w.Meta().Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up the original: %w", err)
	}
	_, replicas, err := unmark(ctx, d.Target, w)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.step(Step{Verb: verbRestored, Kind: string(w.Kind()), Name: w.Meta().Name, Detail: plural(int(replicas), "replica")})
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// mustWait reports whether the development pods have to be gone before the
// originals run.
func (d *deactivation) mustWait(ctx context.Context, originals []*Workload) bool {
	for _, w := range originals {
		if exclusive(ctx, d.Target, w) {
			return true
		}
	}
	return d.o.Volumes
}

// awaitPods waits until only pods are left of the environment that are done.
func (d *deactivation) awaitPods(ctx context.Context, done func(*corev1.Pod) bool, what string) error {
	for _, label := range []string{contract.InteractiveLabel, contract.DetachedLabel} {
		selector := label + "=" + d.Dev.Name
		err := poll(ctx, d.Dev.Timeout.Default, what, func(ctx context.Context) (bool, error) {
			pods, err := d.Client.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				return false, fmt.Errorf("list development pods: %w", err)
			}
			for i := range pods.Items {
				if !done(&pods.Items[i]) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// podEnded reports whether nothing of the pod runs, so that it holds no volume.
func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// removeObjects deletes the Secret, and a sandbox's Service.
func (d *deactivation) removeObjects(ctx context.Context) error {
	name := contract.SecretPrefix + d.Dev.Name
	secrets := d.Client.CoreV1().Secrets(d.Namespace)
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("look up secret %s: %w", name, err)
	case secret.Labels[contract.DevLabel] != "":
		if err := secrets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete secret %s: %w", name, err)
		}
		d.step(Step{Verb: verbDeleted, Kind: "Secret", Name: name})
	}
	if !d.Dev.Autocreate {
		return nil
	}
	services := d.Client.CoreV1().Services(d.Namespace)
	service, err := services.Get(ctx, d.Dev.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("look up service %s: %w", d.Dev.Name, err)
	case service.Annotations[contract.AutoCreateAnnotation] == contract.AutoCreateUp && service.DeletionTimestamp == nil:
		if err := services.Delete(ctx, d.Dev.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete service %s: %w", d.Dev.Name, err)
		}
		d.step(Step{Verb: verbDeleted, Kind: "Service", Name: d.Dev.Name})
	}
	return nil
}

// claim deletes the environment's claim, or says that it is kept.
func (d *deactivation) claim(ctx context.Context) error {
	claims := d.Client.CoreV1().PersistentVolumeClaims(d.Namespace)
	for _, name := range []string{d.Dev.Name + contract.VolumeSuffix, contract.LegacyVolumePrefix + d.Dev.Name} {
		claim, err := claims.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && claim.Labels[contract.DevLabel] == "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up claim %s: %w", name, err)
		}
		if !d.o.Volumes {
			d.report.KeptClaim = name
			continue
		}
		if err := claims.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete claim %s: %w", name, err)
		}
		d.step(Step{Verb: verbDeleted, Kind: "PersistentVolumeClaim", Name: name})
	}
	return nil
}

// wait until the development pods are gone and the originals answer again.
func (d *deactivation) wait(ctx context.Context, originals []*Workload) error {
	gone := func(*corev1.Pod) bool { return false }
	if err := d.awaitPods(ctx, gone, "the development pod to be gone"); err != nil {
		return err
	}
	for _, original := range originals {
		what := original.String() + " to be available"
		err := poll(ctx, d.Dev.Timeout.Resources, what, func(ctx context.Context) (bool, error) {
			w, err := get(ctx, d.Target, original.Kind(), original.Meta().Name)
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			if err != nil {
				return false, fmt.Errorf("look up %s: %w", original, err)
			}
			return w.available() >= w.Replicas(), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Workload) available() int32 {
	if w.StatefulSet != nil {
		return w.StatefulSet.Status.AvailableReplicas
	}
	return w.Deployment.Status.AvailableReplicas
}
