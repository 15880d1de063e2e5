//go:build linux

package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/syncthing/syncthing/lib/protocol"
)

// TestSaveBeforeAFileHasItsTime saves something of the same size between a file's
// being put in place, or the decision that only its time is to change, and its being
// given its time. It must not look like what was received.
func TestSaveBeforeAFileHasItsTime(t *testing.T) {
	registerTrash()
	given := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	for name, test := range map[string]struct {
		save    func(path string) error
		changed bool
	}{
		"no save":  {func(string) error { return nil }, false},
		"in place": {func(path string) error { return os.WriteFile(path, []byte("saved"), 0o600) }, true},
		"by a rename": {func(path string) error {
			if err := os.WriteFile(path+".new", []byte("saved"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, true},
		"at the very time": {func(path string) error {
			if err := os.WriteFile(path, []byte("saved"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(path, given, given)
		}, true},
	} {
		for _, received := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				before := given.Add(-time.Minute)
				disk, folder, _ := newTestDisk(t, protocol.FileInfo{
					Name: "file", Type: protocol.FileInfoTypeFile, Size: 5, ModifiedS: before.Unix(), ModifiedNs: int32(before.Nanosecond()),
				})
				path := filepath.Join(folder, "file")
				if received {
					put(t, filepath.Join(folder, ".syncthing.file.tmp"), []byte("other"))
					if err := disk.Rename(".syncthing.file.tmp", "file"); err != nil {
						t.Fatal(err)
					}
				} else {
					put(t, path, []byte("other"))
					if err := os.Chtimes(path, before, before); err != nil {
						t.Fatal(err)
					}
				}
				if err := test.save(path); err != nil {
					t.Fatal(err)
				}
				if err := disk.Chtimes("file", given, given); err != nil {
					t.Fatal(err)
				}
				hasGiven := func() bool {
					info, err := os.Stat(path)
					return err == nil && info.ModTime().Equal(given)
				}
				if !test.changed {
					time.Sleep(2 * revealAfter)
					if !hasGiven() {
						t.Error("what was received has another time")
					}
					return
				}
				eventually(t, "another time than that of what was received", func() bool { return !hasGiven() })
			})
		}
	}
}
