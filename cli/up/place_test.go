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

// TestPlaceOfAPodThatStarts: a pod that takes the place of another answers before the
// cluster says that it runs. Until it has files, nothing counts as settled there.
func TestPlaceOfAPodThatStarts(t *testing.T) {
	p := newPlace()
	old := &workload.Pod{Name: "old", UID: "1", ContainerID: "a"}
	p.start("old")
	p.run(old)
	p.seed(runOf(old))
	p.settle(runOf(old))
	if _, settled, _ := p.look(); !settled {
		t.Fatal("the first pod is not settled")
	}
	p.start("old") // which is known
	if p.current() != old {
		t.Error("the current pod is forgotten")
	}

	p.start("next")
	if container, settled, _ := p.look(); settled || container != "" {
		t.Errorf("%q counts as settled", container)
	}
	if container, seeded := p.runs(); seeded || container != "next" {
		t.Errorf("%q counts as seeded", container)
	}
	p.seed("next")
	next := &workload.Pod{Name: "next", UID: "2", ContainerID: "b"}
	if replaced := p.run(next); replaced != nil {
		t.Errorf("connections to the new pod would be given up for those to %s", replaced.Name)
	}
	if _, seeded := p.runs(); !seeded {
		t.Error("what was seeded early is forgotten")
	}
}
