package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWhatWasSavedLastIsSent ends the daemon, as the deletion of a pod does, right
// after files were saved in the container.
func TestWhatWasSavedLastIsSent(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			d, dir := newDaemon(t, 32), t.TempDir()
			d.start()
			laptop := d.laptop(dir)
			eventually(t, "both sides to be equal", func() bool {
				s := laptop.Status()
				return s.Connected && s.Folders[0].State == "idle" && s.Folders[0].Here.Done() && s.Folders[0].There.Done()
			})
			const files = 200
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
			if missing > 0 {
				t.Errorf("%d of %d files were not sent; the daemon said:\n%s", missing, files, d.log)
			}
		})
	}
}
