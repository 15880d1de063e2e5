package up

import (
	"context"
	"sync"

	"okteto/cli/workload"
)

// place is where the environment is: its pod, and whether that has its files.
type place struct {
	mu sync.Mutex // protects the following
	// pod that runs; nil while none does.
	pod *workload.Pod
	// next is the name of a pod that starts. Its SSH server answers up to a
	// second before the cluster says that it runs.
	next string
	// settled is the container that has its files.
	settled string
	// seeded is the container that was filled from the laptop.
	seeded string
	// changed is closed and replaced at each change.
	changed chan struct{}
}

func newPlace() *place { return &place{changed: make(chan struct{})} }

func (p *place) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// start names a pod that starts. It takes the place of the current one, of whose
// files it has none.
func (p *place) start(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name != p.next {
		p.next = name
		if p.pod != nil && p.pod.Name != name {
			p.pod = nil
		}
		p.announce()
	}
}

// run makes pod the current one and returns the one before.
func (p *place) run(pod *workload.Pod) (old *workload.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.pod, p.next = p.pod, pod, pod.Name
	p.identify()
	p.announce()
	return old
}

// leave says that the current pod is gone.
func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pod, p.next = nil, ""
	p.announce()
}

// name of the pod to connect to, "" if there is none.
func (p *place) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// current pod, nil if none runs.
func (p *place) current() *workload.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pod
}

// settle says that a container has its files.
func (p *place) settle(container string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = container
	p.announce()
}

// look returns the run of the development container that is current, "" if none
// is, whether it has its files, and a channel that is closed when that changes.
func (p *place) look() (container string, settled bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pod != nil {
		container = runOf(p.pod)
	}
	return container, container != "" && container == p.settled, p.changed
}

// runOf names one run of a pod's development container.
func runOf(pod *workload.Pod) string { return pod.Name + "/" + pod.ContainerID }

// runs names the run of the development container that is connected to, as far as
// it is known, and reports whether it has been seeded.
func (p *place) runs() (container string, seeded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	container = p.next
	if p.pod != nil {
		container = runOf(p.pod)
	}
	return container, container == p.seeded
}

// seed says that a container, as runs named it, has been seeded.
func (p *place) seed(container string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seeded = container
	p.identify()
}

// identify gives what was seeded before the cluster said that it runs its full
// name: in the pod's first run that was this very run.
func (p *place) identify() {
	if p.pod != nil && p.pod.Restarts == 0 && p.seeded == p.pod.Name {
		p.seeded = runOf(p.pod)
	}
}

// waitSettled returns when the current container has its files, or lost is
// closed.
func (p *place) waitSettled(ctx context.Context, lost <-chan struct{}) error {
	for {
		_, settled, changed := p.look()
		if settled {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lost:
			return nil
		case <-changed:
		}
	}
}
