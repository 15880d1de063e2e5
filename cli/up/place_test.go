package up

import (
	"testing"

	"okteto/cli/workload"
)

// What is seeded before the cluster says that the pod runs is not seeded again
// after a reconnection; another run of the container is.
func TestEachRunIsSeededOnce(t *testing.T) {
	seeded := func(p *place) bool { _, is := p.runs(); return is }
	first := &workload.Pod{Name: "api-1", ContainerID: "a"}

	p := newPlace()
	p.start("api-1")
	name, is := p.runs()
	if is {
		t.Error("seeded before anything was")
	}
	p.seed(name)
	p.run(first)
	if !seeded(p) {
		t.Error("seeded again once the pod is known to run")
	}
	p.run(&workload.Pod{Name: "api-1", ContainerID: "b", Restarts: 1})
	if seeded(p) {
		t.Error("a container that has restarted is not seeded")
	}

	// The pod became known while it was seeded.
	p = newPlace()
	p.start("api-1")
	name, _ = p.runs()
	p.run(first)
	p.seed(name)
	if !seeded(p) {
		t.Error("seeded again after a seed that outlasted the start")
	}
	p.leave()
	p.start("api-2")
	if seeded(p) {
		t.Error("a new pod is not seeded")
	}

	// A container that had restarted before it was seen is another one.
	p = newPlace()
	p.start("api-1")
	name, _ = p.runs()
	p.seed(name)
	p.run(&workload.Pod{Name: "api-1", ContainerID: "b", Restarts: 1})
	if seeded(p) {
		t.Error("a container that restarted meanwhile is not seeded")
	}
}
