package builder

import (
	"context"
	"errors"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/pause"
)

// undoTimeout bounds the removal of what a start that failed had made.
const undoTimeout = 15 * time.Second

// remove deletes the Job and waits until it and its pods are gone. A new one that
// someone else makes meanwhile is theirs.
func (b *Builder) remove(ctx context.Context) error {
	foreground := metav1.DeletePropagationForeground
	jobs := b.Client.Clientset.BatchV1().Jobs(b.Client.Namespace)
	job, err := jobs.Get(ctx, Name, metav1.GetOptions{})
	if err == nil {
		err = jobs.Delete(ctx, Name, metav1.DeleteOptions{
			PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &job.UID},
		})
	}
	for err == nil {
		var live *batchv1.Job
		if live, err = jobs.Get(ctx, Name, metav1.GetOptions{}); err != nil {
			break
		}
		if live.UID != job.UID {
			return nil
		}
		err = pause.For(ctx, poll)
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another one by now
		return nil
	}
	return b.Client.Explain(err, "remove the builder")
}

// Prune removes the builder with its cache and its keys. It is idempotent.
func (b *Builder) Prune(ctx context.Context) error {
	if err := b.remove(ctx); err != nil {
		return err
	}
	return errors.Join(b.deleteClaim(ctx), b.deleteSecret(ctx))
}

// undo removes what this process made, also after ctx has ended. Keys and cache
// stay if someone else has begun to use them.
func (b *Builder) undo(ctx context.Context, made *creation) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var err error
	if made.job {
		if err = b.remove(ctx); err == nil {
			_, another := b.Client.Clientset.BatchV1().Jobs(b.Client.Namespace).Get(ctx, Name, metav1.GetOptions{})
			if another == nil {
				return nil
			}
		}
	}
	if made.claim {
		err = errors.Join(err, b.deleteClaim(ctx))
	}
	if made.secret {
		err = errors.Join(err, b.deleteSecret(ctx))
	}
	return err
}

func (b *Builder) deleteClaim(ctx context.Context) error {
	err := b.Client.Clientset.CoreV1().PersistentVolumeClaims(b.Client.Namespace).Delete(ctx, Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return b.Client.Explain(err, "delete the builder's cache volume")
}

func (b *Builder) deleteSecret(ctx context.Context) error {
	err := b.Client.Clientset.CoreV1().Secrets(b.Client.Namespace).Delete(ctx, Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return b.Client.Explain(err, "delete the builder's keys")
}
