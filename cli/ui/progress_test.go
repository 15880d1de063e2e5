package ui

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// Off a terminal, as in a CI's log, numbers that change all the time are not a line
// each.
func TestMeasureOffATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out)
		p.Step("Synchronizing")
		for i := range 25 {
			p.Measure("%d of 25 files", i)
			time.Sleep(time.Second)
		}
		p.Update("a reason is said at once")
		p.Close()
		const want = "Synchronizing\n  10 of 25 files\n  20 of 25 files\n  a reason is said at once\n"
		if got := out.String(); got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	})
}
