package engine

import (
	"log/slog"
	"testing"

	"github.com/syncthing/syncthing/lib/model"
)

// TestPromoterFindsItsTimer fails when an upgrade of the library takes away what
// makes connections useful at once.
func TestPromoterFindsItsTimer(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	for _, e := range []*end{p.near, p.far} {
		if e.link.promote.timer == nil {
			t.Error("connections wait for the library's own delay")
		}
	}
}

// TestPromoterDoesWithout takes a model that has no such timer.
func TestPromoterDoesWithout(t *testing.T) {
	var other struct{ model.Model }
	newPromoter(&other, slog.New(slog.DiscardHandler)).now()
	newPromoter(other, slog.New(slog.DiscardHandler)).now()
}
