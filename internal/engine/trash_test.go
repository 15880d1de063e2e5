//go:build linux

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/protocol"
	"github.com/syncthing/syncthing/lib/versioner"
)

// TestTrashKeepsAll replaces a file again and again within a second: each version
// is in the trash, and the library lists and restores them.
func TestTrashKeepsAll(t *testing.T) {
	registerTrash()
	folder, dir := t.TempDir(), t.TempDir()
	f := config.New(protocol.EmptyDeviceID).Defaults.Folder
	f.Path = folder
	f.Versioning = config.VersioningConfiguration{
		Type: trashType, Params: map[string]string{"keep": trashKeep}, FSPath: dir, FSType: config.FilesystemTypeBasic,
	}
	v, err := versioner.New(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	const times = 7
	var want []string
	for i := range times {
		content := fmt.Sprint("version ", i)
		want = append(want, content)
		if err := os.WriteFile(filepath.Join(folder, "sub", "file.txt"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.Archive("sub/file.txt"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Join(folder, "sub", "file.txt")); err == nil {
			t.Fatal("the file is still in its place")
		}
	}
	// In the order of their names, which is that of their times.
	paths, err := filepath.Glob(filepath.Join(dir, "sub", "file~*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(content))
	}
	if !slices.Equal(got, want) {
		t.Errorf("in the trash: %q, want %q", got, want)
	}
	listed, err := v.GetVersions()
	if err != nil || len(listed["sub/file.txt"]) != times {
		t.Errorf("listed: %v, %v", listed, err)
	}
	if err := v.Archive("sub/file.txt"); err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestDiskKeepsWhatIsRemoved removes and overwrites files as the library does when
// it does not think of the trash.
func TestDiskKeepsWhatIsRemoved(t *testing.T) {
	registerTrash()
	disk, folder, dir := newTestDisk(t)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trashed := func(pattern string) []string { return contents(t, dir, pattern) }
	write("file", "removed")
	if err := disk.Remove("file"); err != nil {
		t.Fatal(err)
	}
	if got := trashed("file~*"); !slices.Equal(got, []string{"removed"}) {
		t.Errorf("after a removal: %q", got)
	}
	write("other", "saved meanwhile")
	write(".syncthing.other.tmp", "received")
	if err := disk.Rename(".syncthing.other.tmp", "other"); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(folder, "other")); err != nil || string(content) != "received" {
		t.Errorf("received: %q, %v", content, err)
	}
	if got := trashed("other~*"); !slices.Equal(got, []string{"saved meanwhile"}) {
		t.Errorf("after a replacement: %q", got)
	}
	// What is nobody's file is removed.
	write(".syncthing.left.tmp", "half")
	if err := disk.Remove(".syncthing.left.tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove("empty"); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("in the trash: %v, %v", left, err)
	}
}

// TestTrashOnAnotherDisk has the trash and the folder on different file systems.
func TestTrashOnAnotherDisk(t *testing.T) {
	registerTrash()
	folder, dir := t.TempDir(), t.TempDir()
	mountTmpfs(t, dir, "8m")
	f := config.New(protocol.EmptyDeviceID).Defaults.Folder
	f.Path = folder
	f.Versioning = config.VersioningConfiguration{
		Type: trashType, Params: map[string]string{"keep": "3"}, FSPath: dir, FSType: config.FilesystemTypeBasic,
	}
	v, err := versioner.New(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(folder, "file"), fmt.Append(nil, i), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.Archive("file"); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := filepath.Glob(filepath.Join(dir, "file~*"))
	if err != nil || len(versions) != 3 {
		t.Fatalf("in the trash: %v, %v, want 3", versions, err)
	}
	if content, err := os.ReadFile(versions[2]); err != nil || string(content) != "4" {
		t.Errorf("the newest: %q, %v", content, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}
