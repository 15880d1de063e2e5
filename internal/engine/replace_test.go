//go:build linux

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/syncthing/syncthing/lib/config"
	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/protocol"
)

// TestReplacedFileIsNeverAbsent opens a file in the pod all the time, as a program
// that reloads does, while it is saved on the laptop.
func TestReplacedFileIsNeverAbsent(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, trash string){
		"trash on the same disk": func(*testing.T, string) {},
		"trash on another disk":  func(t *testing.T, trash string) { mountTmpfs(t, trash, "8m") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil)
			trash := filepath.Join(p.far.home, "trash")
			if err := os.MkdirAll(trash, 0o700); err != nil {
				t.Fatal(err)
			}
			prepare(t, trash)
			p.startBoth()
			saved, served := filepath.Join(p.near.dir, "app.py"), filepath.Join(p.far.dir, "app.py")
			save := func(content string) {
				t.Helper()
				if err := os.WriteFile(saved, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the save in the pod", func() bool {
					got, err := os.ReadFile(served)
					return err == nil && string(got) == content
				})
			}
			save("save 0\n")
			absent := watchAbsence(t, served)
			const saves = 40
			var want []string
			for i := 1; i <= saves; i++ {
				want = append(want, fmt.Sprintf("save %d\n", i-1))
				save(fmt.Sprintf("save %d\n", i))
			}
			p.settled()
			if n := absent.Load(); n > 0 {
				t.Errorf("%d times there was no file, in %d saves", n, saves)
			}
			if got := contents(t, trash, "app~*.py"); !slices.Equal(got, want) {
				t.Errorf("in the trash: %q, want %q", got, want)
			}
			if left := contents(t, p.far.dir, ".syncthing.*"); len(left) > 0 {
				t.Errorf("left in the folder: %q", left)
			}
		})
	}
}

// watchAbsence counts until the test is over how often a file is not there.
func watchAbsence(t *testing.T, paths ...string) *atomic.Int64 {
	var absent atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, path := range paths {
				if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
					absent.Add(1)
				}
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return &absent
}

func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// contents of the files that a pattern matches, in the order of their names.
func contents(t *testing.T, dir, pattern string) (all []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(content))
	}
	return all
}

// newTestDisk is a disk of a folder, with a trash in another one.
func newTestDisk(t *testing.T, has ...protocol.FileInfo) (disk stfs.Filesystem, folder, trash string) {
	var known protocol.FileInfo
	for _, known = range has {
	}
	t.Helper()
	folder, trash = t.TempDir(), t.TempDir()
	f := config.New(protocol.EmptyDeviceID).Defaults.Folder
	f.Path = folder
	f.Versioning = config.VersioningConfiguration{
		Type: trashType, Params: map[string]string{"keep": trashKeep}, FSPath: trash, FSType: config.FilesystemTypeBasic,
	}
	useDisk(&f, nil, func(string) (protocol.FileInfo, bool) { return known, known.Name != "" })
	return f.Filesystem(nil), folder, trash
}

// TestReplaceWithoutRoomInTheTrash has a file replaced whose old content does not fit
// in the trash: nothing changes, and it succeeds when there is room.
func TestReplaceWithoutRoomInTheTrash(t *testing.T) {
	registerTrash()
	disk, folder, trash := newTestDisk(t)
	mountTmpfs(t, trash, "64k")
	old := bytes.Repeat([]byte("old "), 64<<10)
	put(t, filepath.Join(folder, "file"), old)
	put(t, filepath.Join(folder, ".syncthing.file.tmp"), []byte("new"))
	for range 3 {
		if err := disk.Rename(".syncthing.file.tmp", "file"); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("without room: %v", err)
		}
		got, err := os.ReadFile(filepath.Join(folder, "file"))
		if err != nil || !bytes.Equal(got, old) {
			t.Fatalf("the old file: %d bytes, %v", len(got), err)
		}
		if got := contents(t, folder, ".syncthing.*"); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("received: %.40q", got)
		}
	}
	if err := syscall.Mount("tmpfs", trash, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	if err := disk.Rename(".syncthing.file.tmp", "file"); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, folder, "*"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("in the folder: %.40q", got)
	}
	if got := contents(t, trash, "file~*"); !slices.Contains(got, string(old)) {
		t.Errorf("in the trash: %d files, none the old one", len(got))
	}
}

// TestWhatACrashLeavesAside has a file that was on its way to the trash removed as
// the library's scan does.
func TestWhatACrashLeavesAside(t *testing.T) {
	registerTrash()
	disk, folder, trash := newTestDisk(t)
	aside := asideName("main.go")
	if !stfs.IsTemporary(aside) {
		t.Fatalf("%s would be synchronized", aside)
	}
	put(t, filepath.Join(folder, aside), []byte("an edit"))
	if err := disk.Remove(aside); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, trash, "main~*.go"); !slices.Equal(got, []string{"an edit"}) {
		t.Errorf("in the trash: %q", got)
	}
	if left := contents(t, folder, "*"); len(left) > 0 {
		t.Errorf("left in the folder: %q", left)
	}
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
