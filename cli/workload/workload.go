// Package workload puts a Deployment or a StatefulSet in development mode and
// takes it out again.
//
// The original stays whole: it is scaled to zero and marked, and a twin called
// <name>-okteto, made from it, runs the development container once. What the
// original is made by (helm, kubectl apply, a rollback, an autoscaler) goes on
// working on the original; when its spec changes, the twin is made anew. Taking
// it out is a delete and a scale that anyone can do from anywhere.
//
// Everything that decides what the cluster gets is a pure function of the
// original, the manifest and Options (Translate); the rest carries it out.
package workload

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"okteto/cli/kube/api"
	"okteto/cli/manifest"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: no workload of that name or with those labels.
	ErrNotFound = errors.New("workload not found")
	// ErrAmbiguous: several workloads match.
	ErrAmbiguous = errors.New("several workloads match")
	// ErrNotAllowed: the namespace forbids development mode.
	ErrNotAllowed = errors.New("development mode is not allowed in this namespace")
	// ErrHeld: the workload is in development mode under another name.
	ErrHeld = errors.New("workload is in development mode already")
	// ErrDeactivated: development mode was switched off meanwhile.
	ErrDeactivated = errors.New("development mode was switched off")
	// ErrPod: the development pod cannot run; see PodError.
	ErrPod = errors.New("development pod cannot run")
)

// Target is an environment in a cluster.
type Target struct {
	Client    *api.Clientset
	Namespace string
	Dev       *manifest.Dev
}

// Workload is a Deployment or a StatefulSet: exactly one of the two is set.
type Workload struct {
	Deployment  *appsv1.Deployment
	StatefulSet *appsv1.StatefulSet
	// NamespaceObject is the workload's namespace with its labels, if the user
	// may read it, else nil.
	NamespaceObject *corev1.Namespace
	// Sandbox says that the workload is one that `autocreate` asks for and that
	// exists only as its twin.
	Sandbox bool
}

// Kind is Deployment or StatefulSet.
func (w *Workload) Kind() manifest.Kind {
	if w.StatefulSet != nil {
		return manifest.StatefulSet
	}
	return manifest.Deployment
}

// Meta is the object's metadata.
func (w *Workload) Meta() *metav1.ObjectMeta {
	if w.StatefulSet != nil {
		return &w.StatefulSet.ObjectMeta
	}
	return &w.Deployment.ObjectMeta
}

// Object is the object itself.
func (w *Workload) Object() runtime.Object {
	if w.StatefulSet != nil {
		return w.StatefulSet
	}
	return w.Deployment
}

// Template of its pods.
func (w *Workload) Template() *corev1.PodTemplateSpec {
	if w.StatefulSet != nil {
		return &w.StatefulSet.Spec.Template
	}
	return &w.Deployment.Spec.Template
}

// Replicas it asks for; 1 when it does not say, as Kubernetes defaults.
func (w *Workload) Replicas() int32 {
	n := w.replicas()
	if n == nil {
		return 1
	}
	return *n
}

func (w *Workload) selector() *metav1.LabelSelector {
	if w.StatefulSet != nil {
		return w.StatefulSet.Spec.Selector
	}
	return w.Deployment.Spec.Selector
}

func (w *Workload) replicas() *int32 {
	if w.StatefulSet != nil {
		return w.StatefulSet.Spec.Replicas
	}
	return w.Deployment.Spec.Replicas
}

// String is "deployment api".
func (w *Workload) String() string {
	if w.StatefulSet != nil {
		return "statefulset " + w.StatefulSet.Name
	}
	return "deployment " + w.Deployment.Name
}

// Options of the translation that are not in the manifest.
type Options struct {
	// InitImage delivers the agents unless the manifest names one; empty is
	// contract.DefaultInitImage.
	InitImage string
	// SecretData is all of the environment's Secret, under the contract's keys:
	// Translate chooses from it what is mounted where, with which modes, and
	// the arguments of start.sh. User secrets are keyed
	// contract.SecretItemPrefix + base name of the remote path; ignore files
	// contract.SecretItemPrefix + ".stignore-<n>", n being the folder's number
	// from 1. A change of anything mounted but the ignore files replaces the
	// pod, so callers should start from what SecretData returns.
	SecretData map[string][]byte
	// Reset makes the pod forget its synchronization database, for which
	// Activate replaces it. Set it for the first Activate only: a later one
	// without it keeps the pod as it is.
	Reset bool
	// UserName is OKTETO_USERNAME in the pod, if not empty.
	UserName string
	// Restart, when it differs from the last one, replaces the pod.
	Restart string
	// ClaimName is the environment's claim; empty is the contract's
	// <dev>-okteto. Activate sets it to an older CLI's claim if there is one.
	ClaimName string
}

// Twin is what Translate makes: the objects that development mode consists of.
type Twin struct {
	// Workload is the twin itself, of the original's kind.
	*Workload
	// Secret of the environment.
	Secret *corev1.Secret
	// Claim is the environment's volume, nil without one.
	Claim *corev1.PersistentVolumeClaim
	// Claims are the original StatefulSet's claims of its first ordinal, to be
	// made if that pod has never run.
	Claims []*corev1.PersistentVolumeClaim
	// Service of a sandbox, else nil.
	Service *corev1.Service
	// Services are the twins of the manifest's services.
	Services []*ServiceTwin
	// Container is the name of the development container.
	Container string
	// Revision identifies the pod template: a pod that carries it in
	// annotation contract.PodRevisionAnnotation is of this translation.
	Revision string
	// Warnings are for the user, one sentence each.
	Warnings []string
}

// ServiceTwin is the twin of one of the manifest's services.
type ServiceTwin struct {
	Original *Workload
	Twin     *Workload
}

// Objects are all objects that Activate applies, in order; for --dry-run.
func (t *Twin) Objects() []runtime.Object {
	var objects []runtime.Object
	for _, claim := range t.Claims {
		objects = append(objects, claim)
	}
	if t.Claim != nil {
		objects = append(objects, t.Claim)
	}
	objects = append(objects, t.Secret, t.Object())
	if t.Service != nil {
		objects = append(objects, t.Service)
	}
	for _, s := range t.Services {
		objects = append(objects, s.Twin.Object())
	}
	return objects
}

// Step is one thing that Activate or Deactivate has done.
type Step struct {
	// Verb is "created", "updated", "deleted", "scaled", "restored", "waiting".
	Verb string
	// Kind and Name of the object.
	Kind, Name string
	// Detail, if any: "2 → 0".
	Detail string
}

// String is "scaled deployment api (2 → 0)".
func (s Step) String() string {
	if s.Detail == "" {
		return fmt.Sprintf("%s %s %s", s.Verb, s.Kind, s.Name)
	}
	return fmt.Sprintf("%s %s %s (%s)", s.Verb, s.Kind, s.Name, s.Detail)
}

// Activation is an environment that is in development mode.
type Activation struct {
	// Original as it is now: marked and at zero replicas.
	Original *Workload
	// Twin as the cluster has it.
	Twin *Twin
	// Fresh says that the workload was not in development mode before: when
	// what follows fails, Deactivate leaves things as they were.
	Fresh bool
	// Replaced says that the running pod, if any, is being replaced.
	Replaced bool
	// Pod is the one that WaitForPod found; Watch reports when it goes.
	Pod *Pod
}

// Pod is the development pod.
type Pod struct {
	Name string
	UID  types.UID
	// Node it runs on.
	Node string
	// Container is the development container's name.
	Container string
	// ContainerID changes when the container restarts, Restarts counts that.
	ContainerID string
	Restarts    int32
}

// Phase of a starting pod, in the contract's words.
type Phase string

// Phases: a pod is starting until it is scheduled, attaching while its volumes
// are, then pulling.
const (
	PhaseStarting  Phase = "starting"
	PhaseAttaching Phase = "attaching"
	PhasePulling   Phase = "pulling"
	PhaseRunning   Phase = "running"
)

// PodProgress says where a starting pod is and what it waits for.
type PodProgress struct {
	Phase Phase
	// Pod is its name, once it exists.
	Pod string
	// Reason is Kubernetes' word for what it waits for, such as
	// FailedScheduling, ImagePullBackOff or CrashLoopBackOff; may be empty.
	Reason string
	// Message is one line for the user.
	Message string
	// Warning says that it will not go on by itself as it is.
	Warning bool
}

// PodError is why the development pod cannot run. It wraps ErrPod.
type PodError struct {
	// Pod is its name, empty when none could be made.
	Pod string
	// Reason is Kubernetes' word, Message its explanation.
	Reason, Message string
	// Log holds the last lines of the failing container, if there are any.
	Log string
	// Hint says what to do.
	Hint string
	// Timeout says that it was given up because the time was over.
	Timeout bool
}

// Error is one line.
func (e *PodError) Error() string {
	pod := ""
	if e.Pod != "" {
		pod = " " + e.Pod
	}
	return fmt.Sprintf("development pod%s cannot run: %s: %s", pod, e.Reason, e.Message)
}

// Unwrap returns ErrPod.
func (e *PodError) Unwrap() error { return ErrPod }

// ChangeKind says what happened to an environment.
type ChangeKind string

// Kinds of Change, and what answers them.
const (
	// SpecChanged: the original was changed (kubectl apply, helm, a rollback),
	// replaced, or deleted and made again. Activate again makes the twin from it.
	SpecChanged ChangeKind = "spec-changed"
	// ScaledBack: someone gave the original replicas again. Activate again
	// scales it to 0, and remembers the new number.
	ScaledBack ChangeKind = "scaled-back"
	// Deactivated: development mode was switched off (down, from anywhere).
	Deactivated ChangeKind = "deactivated"
	// OriginalDeleted: the original is gone for good, and with it the environment.
	OriginalDeleted ChangeKind = "original-deleted"
	// TwinGone: someone deleted the twin. Activate again makes it.
	TwinGone ChangeKind = "twin-gone"
	// PodGone: the pod was deleted, evicted or replaced. WaitForPod finds the
	// next one.
	PodGone ChangeKind = "pod-gone"
	// ContainerRestarted: same pod, new container (OOM, crash, TERM).
	ContainerRestarted ChangeKind = "container-restarted"
)

// Change is something that happened to an environment that is in development
// mode.
type Change struct {
	Kind ChangeKind
	// Detail is one line for the user: "deployment api was scaled to 2 by
	// argocd-application-controller".
	Detail string
	// Manager is who did it, by its field manager, if known.
	Manager string
	// Hint, if any, is the setting that stops it.
	Hint string
}

// DownOptions say what Deactivate removes.
type DownOptions struct {
	// Volumes also deletes the environment's claim, with what is on it.
	Volumes bool
	// Wait until the development pod is gone and the original is available.
	Wait bool
	// Report, if not nil, is told each step.
	Report func(Step)
}

// DownReport says what Deactivate did.
type DownReport struct {
	// Active says that there was anything to undo.
	Active bool
	// Steps that were done, in order.
	Steps []Step
	// KeptClaim is the claim that still exists, if any: `down --volumes`
	// deletes it.
	KeptClaim string
	// Warnings for the user.
	Warnings []string
}
