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
					if !hasGiven() {
						t.Error("what was received has another time")
					}
					return
				}
				if hasGiven() {
					t.Error("what was saved has the time of what was received")
				}
				if info, err := disk.Lstat("file"); err != nil || !info.ModTime().Equal(given) {
					t.Errorf("the library is told another time: %v, %v", info.ModTime(), err)
				}
				if info, err := disk.Lstat("file"); err != nil || info.ModTime().Equal(given) {
					t.Errorf("and told it again, so that it does not see what was saved: %v", err)
				}
			})
		}
	}
}

// TestSaveAfterAFileHasItsTime saves between a file's being given its time and the
// library's look at what the disk has made of that.
func TestSaveAfterAFileHasItsTime(t *testing.T) {
	registerTrash()
	disk, folder, _ := newTestDisk(t, protocol.FileInfo{})
	given := time.Now().Add(-time.Second)
	for name, test := range map[string]struct {
		saved time.Time
		seen  bool
	}{
		"no save":            {given, false},
		"a save":             {given.Add(time.Second), true},
		"at the next tick":   {given.Add(4 * time.Millisecond), true},
		"a disk of seconds":  {given.Truncate(time.Second), false},
		"a disk of 2 s":      {given.Truncate(2 * time.Second), false},
		"a disk that rounds": {given.Round(time.Microsecond), false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, "file")
			put(t, path, []byte("other"))
			if err := disk.Chtimes("file", given, given); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, test.saved, test.saved); err != nil {
				t.Fatal(err)
			}
			first, err := disk.Lstat("file")
			if err != nil {
				t.Fatal(err)
			}
			if hidden := !first.ModTime().Equal(test.saved); hidden != test.seen {
				t.Errorf("the library is told %v of a file of %v that was given %v", first.ModTime(), test.saved, given)
			}
			if again, err := disk.Lstat("file"); err != nil || !again.ModTime().Equal(test.saved) {
				t.Errorf("the next look: %v, %v", again.ModTime(), err)
			}
		})
	}
}
