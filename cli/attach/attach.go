// Package attach connects to an environment that is in development mode already,
// whether or not an `up` runs on this laptop.
package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"okteto/cli/state"
	"okteto/cli/target"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/cli/up"
	"okteto/cli/workload"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// Session is a way into an environment's pod. It follows the pod when that is
// replaced.
type Session struct {
	target *target.Target
	link   *tunnel.Link
	dialer *tunnel.Dialer
	stop   context.CancelFunc
	done   chan struct{}

	mu  sync.Mutex // protects the following
	pod *Pod
}

// Pod is the development pod.
type Pod struct {
	Name, Container string
	// SSHPort in the pod.
	SSHPort int
}

// Open finds the environment's pod, waiting for it to run, and begins to connect.
func Open(ctx context.Context, t *target.Target, log *slog.Logger) (*Session, error) {
	pod, err := FindPod(ctx, t)
	if err != nil {
		return nil, err
	}
	credentials, err := loadCredentials(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &Session{target: t, pod: pod, done: make(chan struct{})}
	s.dialer = tunnel.NewDialer(t.Client.Config, t.Client.Clientset.CoreV1().RESTClient())
	s.link = tunnel.NewLink(tunnel.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			conn, err := s.dialer.Dial(ctx, t.Client.Namespace, s.current().Name, pod.SSHPort)
			if apierrors.IsNotFound(err) {
				s.follow(ctx)
			}
			return conn, err
		},
		Credentials:     credentials,
		InteractiveOnly: true,
		Log:             log,
	})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() {
		defer close(s.done)
		s.link.Run(run)
	}()
	return s, nil
}

// Close ends the connection.
func (s *Session) Close() {
	s.stop()
	<-s.done
}

// Connect returns the connection, and waits until there is one: the first for at
// most the manifest's timeout, a later one for as long as ctx lasts.
func (s *Session) Connect(ctx context.Context) (*tunnel.Client, error) {
	return s.link.Interactive(ctx)
}

// First is Connect with a limit, and explains why there is no connection.
func (s *Session) First(ctx context.Context) (*tunnel.Client, error) {
	limited, cancel := context.WithTimeout(ctx, s.target.Dev.Timeout.Default)
	defer cancel()
	for {
		status, changed := s.link.Status()
		if status.Connected {
			return s.link.Interactive(limited)
		}
		if apierrors.IsForbidden(status.Err) || apierrors.IsUnauthorized(status.Err) {
			return nil, s.target.Client.Explain(status.Err, "forward a port to pod "+s.current().Name)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-changed:
		case <-limited.Done():
			return nil, &ui.Problem{
				Summary: "cannot connect to the SSH server in pod " + s.current().Name, Cause: status.Err,
				Hint: "okteto doctor looks for the reason",
			}
		}
	}
}

// Transport is the protocol of the port-forward: "websocket" or "spdy".
func (s *Session) Transport() string { return s.dialer.Transport() }

func (s *Session) current() *Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pod
}

// follow looks for the pod that has replaced the current one.
func (s *Session) follow(ctx context.Context) {
	pod, err := FindPod(ctx, s.target)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.pod = pod
	s.mu.Unlock()
	s.link.Retry(false)
}

// lookPeriod is how often is looked at a pod that may not be watched.
const lookPeriod = time.Second

// FindPod returns the environment's pod, and waits until it runs.
func FindPod(ctx context.Context, t *target.Target) (*Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Dev.Timeout.Resources)
	defer cancel()
	pods := t.Client.Clientset.CoreV1().Pods(t.Client.Namespace)
	options := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{contract.InteractiveLabel: t.Dev.Name}).String()}
	for {
		list, err := pods.List(ctx, options)
		if err != nil {
			if nsErr := t.Client.CheckNamespace(ctx); nsErr != nil {
				return nil, nsErr
			}
			return nil, t.Client.Explain(err, "list pods")
		}
		alive := 0
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
				continue
			}
			alive++
			if found, running := devContainer(pod); running {
				return found, nil
			}
		}
		if alive == 0 && len(list.Items) == 0 {
			if err := t.Client.CheckNamespace(ctx); err != nil {
				return nil, err
			}
			return nil, &ui.Problem{
				Summary: fmt.Sprintf("%s is not in development mode in namespace %q", t.Dev.Name, t.Client.Namespace),
				Hint:    "start it with: okteto up",
			}
		}
		from := options
		from.ResourceVersion = list.ResourceVersion
		watched, err := pods.Watch(ctx, from)
		var changed <-chan watch.Event
		var again <-chan time.Time
		stop := func() {}
		switch {
		case err == nil:
			changed, stop = watched.ResultChan(), watched.Stop
		case apierrors.IsForbidden(err):
			again = time.After(lookPeriod) // they may be listed all the same
		default:
			return nil, t.Client.Explain(err, "watch pods")
		}
		select {
		case <-ctx.Done():
			stop()
			return nil, &ui.Problem{
				Summary: fmt.Sprintf("the development pod of %s does not run", t.Dev.Name),
				Hint:    "okteto status shows what it waits for",
				Cause:   context.Cause(ctx),
			}
		case <-changed:
			stop()
		case <-again:
		}
	}
}

// devContainer finds the container that the agents run in.
func devContainer(pod *corev1.Pod) (found *Pod, running bool) {
	found = &Pod{Name: pod.Name, SSHPort: contract.SSHPort}
	for _, c := range pod.Spec.Containers {
		if len(c.Command) > 0 && c.Command[0] == contract.StartScript {
			found.Container = c.Name
			for _, v := range c.Env {
				if v.Name == contract.EnvRemotePort {
					_, _ = fmt.Sscan(v.Value, &found.SSHPort)
				}
			}
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == found.Container && status.State.Running != nil {
			return found, true
		}
	}
	return found, false
}

// loadCredentials returns the developer's key and the host key that the
// environment's Secret says, or, for who may not read it, that this laptop
// remembers.
func loadCredentials(ctx context.Context, t *target.Target) (tunnel.Credentials, error) {
	var none tunnel.Credentials
	located, err := t.State()
	if err != nil {
		return none, err
	}
	user, err := identity.LoadOrCreateUserKey(located.Home)
	if err != nil {
		return none, fmt.Errorf("load SSH key: %w", err)
	}
	environment, err := loadEnvironment(ctx, t, located)
	if err != nil {
		return none, err
	}
	hostKey, err := environment.HostPublicKey()
	if err != nil {
		return none, err
	}
	return tunnel.Credentials{Signer: user.Signer, HostKey: hostKey}, nil
}

func loadEnvironment(ctx context.Context, t *target.Target, located *state.Env) (identity.Environment, error) {
	data, err := workload.SecretData(ctx, t.Workload())
	if err == nil {
		environment, err := identity.FromSecret(data)
		if err == nil {
			return environment, nil
		}
		return environment, &ui.Problem{
			Summary: fmt.Sprintf("the host key of %s is unknown, and the pod could be anyone", t.Dev.Name), Cause: err,
			Hint: "run okteto up, which gives the environment keys of its own",
		}
	}
	if local, localErr := up.LoadIdentity(located); localErr == nil && (apierrors.IsForbidden(err) || errors.Is(err, context.DeadlineExceeded)) {
		return local, nil
	}
	return identity.Environment{}, t.Explain(err, "read the environment's Secret")
}
