// Package builder runs BuildKit in the cluster for who has none: one per
// namespace, started on first use, ended after an idle time.
//
// It is a Job, since a Job is what can end without anyone watching it: when
// nobody has been connected for a while, its program ends with success and the
// cluster removes it. Its cache is on a volume, which stays for the next one.
// It listens on its pod's loopback only, reached through a port-forward, and
// wants a client certificate, since the build's own containers share that
// loopback.
package builder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/buildkit/client"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/kube"
	"okteto/cli/pause"
	"okteto/cli/ui"
)

const (
	// Name of the builder's objects.
	Name = "okteto-builder"
	port = 1234
	// startTimeout includes the pull of the image.
	startTimeout = 5 * time.Minute
	poll         = 250 * time.Millisecond
)

// Builder is the builder of a namespace.
type Builder struct {
	Client  *kube.Client
	Streams ui.Streams
}

// Connect starts the builder if it does not run, waits for it, and connects to
// it. The connection is the caller's to close.
func (b *Builder) Connect(ctx context.Context) (*client.Client, error) {
	config, err := ConfigFromEnvironment()
	if err != nil {
		return nil, err
	}
	if c, err := b.running(ctx); err == nil {
		return c, nil
	}
	if err := b.Client.CheckNamespace(ctx); err != nil {
		return nil, err
	}
	progress := ui.NewProgress(b.Streams.ErrOut)
	defer progress.Close()
	progress.Step("Starting the builder in namespace %s", b.Client.Namespace)
	c, err := b.start(ctx, config, progress)
	if err != nil {
		progress.Fail()
		return nil, err
	}
	progress.Done("The builder runs")
	return c, nil
}

// running connects to a builder that is there already, without a word.
func (b *Builder) running(ctx context.Context) (*client.Client, error) {
	pod, err := b.pod(ctx)
	if err != nil {
		return nil, err
	}
	if pod == nil || !isRunning(pod) {
		return nil, errNotYet
	}
	return b.dial(ctx, pod.Name)
}

var errNotYet = errors.New("the builder does not run yet")

// start makes the objects and waits. A node that does not let it run rootless
// is tried again with privileges, if the configuration leaves the choice. What was
// made for a start that fails is removed.
func (b *Builder) start(ctx context.Context, config Config, progress *ui.Progress) (_ *client.Client, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, &slowError{startTimeout})
	defer cancel()
	mode, made := config.Mode, &creation{}
	if mode == Auto {
		mode = Rootless
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.undo(ctx, made))
		}
	}()
	for {
		if err := b.ensure(ctx, config, mode, made); err != nil {
			return nil, err
		}
		c, err := b.wait(ctx, made.job, progress)
		var crash *crashError
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, errNotYet) && ctx.Err() == nil:
			// Another process removed it, or it has just ended.
		case !errors.As(err, &crash):
			return nil, err
		case config.Mode != Auto || mode == Privileged:
			return nil, b.crashed(ctx, crash)
		default:
			progress.Note("the node does not let BuildKit run rootless; starting it privileged")
			mode = Privileged
			if err := b.remove(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// wait until the builder answers. If the program of a fresh one ends, it cannot
// run here; that of one that ran before is started again.
func (b *Builder) wait(ctx context.Context, fresh bool, progress *ui.Progress) (*client.Client, error) {
	last := ""
	for {
		pod, err := b.pod(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case pod == nil:
			if err := b.refused(ctx); err != nil {
				return nil, err
			}
			progress.Update("no pod yet")
		case fresh && exitOf(pod) != nil:
			return nil, &crashError{pod.Name, exitOf(pod)}
		case isRunning(pod):
			c, err := b.dial(ctx, pod.Name)
			if err == nil {
				return c, nil
			}
			progress.Update("it does not answer yet")
		default:
			reason, stuck := waitingFor(pod)
			if stuck {
				return nil, b.problem("the builder's pod "+pod.Name+" cannot start", reason, nil)
			}
			last = reason
			progress.Update("%s", reason)
		}
		if err := pause.For(ctx, poll); err != nil {
			if slow := (*slowError)(nil); errors.As(err, &slow) {
				return nil, b.problem("the builder in namespace "+b.Client.Namespace+" did not start "+err.Error(), last, err)
			}
			return nil, err
		}
	}
}

func (b *Builder) problem(summary, detail string, cause error) error {
	return &ui.Problem{
		Summary: summary, Detail: detail, Cause: cause,
		Hint: "see docs/build-and-pipeline.md for the builder's settings\nor use a builder of your own: export BUILDKIT_HOST=tcp://HOST:PORT",
	}
}

type slowError struct{ limit time.Duration }

func (e *slowError) Error() string { return fmt.Sprintf("not within %s", e.limit) }

// crashError says that the builder's program ended.
type crashError struct {
	pod   string
	state *corev1.ContainerStateTerminated
}

func (e *crashError) Error() string {
	return fmt.Sprintf("the builder's pod %s ended: %s, exit code %d", e.pod, e.state.Reason, e.state.ExitCode)
}

// crashed explains it with the end of the log.
func (b *Builder) crashed(ctx context.Context, crash *crashError) error {
	lines := int64(5)
	detail := fmt.Sprintf("%s, exit code %d", crash.state.Reason, crash.state.ExitCode)
	for _, previous := range []bool{true, false} {
		log, err := b.Client.Clientset.CoreV1().Pods(b.Client.Namespace).
			GetLogs(crash.pod, &corev1.PodLogOptions{TailLines: &lines, Previous: previous}).DoRaw(ctx)
		if err == nil && len(log) > 0 {
			detail += "\n" + string(log)
			break
		}
	}
	return b.problem("the builder cannot run on this cluster's nodes", detail, crash)
}

// pod of the builder: the newest that does not go away; nil if there is none.
func (b *Builder) pod(ctx context.Context) (*corev1.Pod, error) {
	list, err := b.Client.Clientset.CoreV1().Pods(b.Client.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, b.Client.Explain(err, "look for the builder's pod")
	}
	var newest *corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp) {
			newest = p
		}
	}
	return newest, nil
}

// refused reports why the Job cannot make its pod, such as that the namespace's
// pod security forbids it.
func (b *Builder) refused(ctx context.Context) error {
	job, err := b.Client.Clientset.BatchV1().Jobs(b.Client.Namespace).Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && finished(job) {
		return errNotYet // it ended meanwhile; the next command starts it
	}
	if err != nil {
		return b.Client.Explain(err, "look for the builder")
	}
	events, err := b.Client.Clientset.CoreV1().Events(b.Client.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(job.UID) + ",reason=FailedCreate",
	})
	if err != nil || len(events.Items) == 0 {
		return nil // events only add a reason; without one, the time limit ends it
	}
	return b.problem("the cluster does not let the builder's pod be created", events.Items[0].Message, nil)
}

func finished(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
