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
