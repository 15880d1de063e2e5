package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhatWasSavedLastIsSent ends the daemon, as the deletion of a pod does, right
// after files were saved in the container. It has a few seconds: where the machine is
// too busy for that, it must say so.
func TestWhatWasSavedLastIsSent(t *testing.T) {
	const rounds, files = 5, 50
	sent := 0
	for range rounds {
		d, dir := newDaemon(t, 32), t.TempDir()
		d.start()
		laptop := d.laptop(dir)
		eventually(t, "both sides to be equal", func() bool {
			s := laptop.Status()
			return s.Connected && s.Folders[0].State == "idle" && s.Folders[0].Here.Done() && s.Folders[0].There.Done()
		})
		for i := range files {
			if err := os.WriteFile(filepath.Join(d.folder, fmt.Sprintf("saved-%d", i)), fmt.Appendf(nil, "content %d\n", i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-d.ended
		missing := 0
		for i := range files {
			if !has(filepath.Join(dir, fmt.Sprintf("saved-%d", i)), fmt.Sprintf("content %d\n", i)) {
				missing++
			}
		}
		switch {
		case missing == 0:
			sent++
		case !strings.Contains(d.log.String(), "not all that was saved here last"):
			t.Errorf("%d of %d files were not sent, and the daemon did not say so:\n%s", missing, files, d.log)
		}
	}
	if sent == 0 {
		t.Errorf("in none of %d rounds all was sent", rounds)
	}
}
