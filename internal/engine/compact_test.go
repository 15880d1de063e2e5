package engine

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"okteto/internal/testkit/tree"
)

// A large transfer leaves the database as fast as it was: the side that received
// compacts, once; the one that sent has no reason to.
func TestLargeTransferIsCompactedAway(t *testing.T) {
	p := newPair(t, nil)
	if err := tree.Generate(filepath.Join(p.near.dir, "tree"), tree.Spec{Files: compactAfter, MaxSize: 16}); err != nil {
		t.Fatal(err)
	}
	p.startBoth()
	eventually(t, "compaction", func() bool { return testutil.ToFloat64(p.far.metrics.compactions) == 1 })
	if n := testutil.ToFloat64(p.near.metrics.compactions); n != 0 {
		t.Errorf("the sender has compacted %v times", n)
	}
	p.near.write(t, "after", "x")
	eventually(t, "a save after it", func() bool { return p.far.has("after", "x") })
}

// compactions is a database that only counts.
type compactions struct{ n chan struct{} }

func (c compactions) Compact() error {
	c.n <- struct{}{}
	return nil
}

func TestSmallTransfersAddUp(t *testing.T) {
	db := compactions{make(chan struct{}, 10)}
	c := &compactor{db: db, metrics: newMetrics(nil), items: make(chan struct{}, compactAfter)}
	go func() { _ = c.run(t.Context()) }()
	for i := range compactAfter {
		if i == compactAfter/2 {
			select {
			case <-db.n:
				t.Fatal("compacted after half")
			default:
			}
		}
		c.items <- struct{}{}
	}
	<-db.n
	if len(db.n) > 0 {
		t.Error("compacted twice")
	}
}
