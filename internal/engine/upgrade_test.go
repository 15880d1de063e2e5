//go:build linux

package engine

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"okteto/internal/testkit/tree"
)

// unpackHome puts a database into a home that a Syncthing of an older version has
// written: of a pair that kept 30 files equal, one of which was removed on the
// laptop and one changed in the pod (testdata/homes).
func unpackHome(t *testing.T, version, side, home string) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata/homes", "syncthing-"+version+"-"+side+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(home, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(archive); err == nil {
				err = os.WriteFile(path, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// oldFiles are what that pair was left with.
func oldFiles(t *testing.T, e *end) {
	t.Helper()
	for i := 1; i <= 30; i++ {
		content := fmt.Sprintf("content %d\n", i)
		switch i {
		case 1:
			continue
		case 2:
			content = "changed\n"
		}
		e.write(t, fmt.Sprintf("d%d/f%d", i%3, i), content)
	}
	e.write(t, ".stignore", "")
}

// TestHomesOfOlderVersions goes on with what the original client's Syncthing has
// left: on both sides, on the laptop alone with a new pod, or in the pod alone.
// What was changed since crosses, and no file is lost.
func TestHomesOfOlderVersions(t *testing.T) {
	for _, version := range []string{"v1.9.0", "v1.18.0", "v1.30.0"} {
		for _, who := range []string{"both", "laptop", "pod"} {
			t.Run(version+" "+who, func(t *testing.T) {
				p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
				if who != "pod" {
					unpackHome(t, version, "laptop", p.near.home)
				}
				oldFiles(t, p.near)
				if who != "laptop" {
					unpackHome(t, version, "pod", p.far.home)
					oldFiles(t, p.far)
					p.far.write(t, "new in the pod", "x")
				}
				p.near.write(t, "d0/f3", "edited since\n")
				p.startBoth()
				eventually(t, "the edit there", func() bool { return p.far.has("d0/f3", "edited since\n") })
				p.equalTrees()
				items, err := tree.List(p.near.dir)
				if err != nil {
					t.Fatal(err)
				}
				files := 0
				for _, item := range items {
					if item.Kind == "file" && !strings.Contains(item.Path, conflictMark) {
						files++
					}
				}
				want := 30
				if who == "laptop" {
					want = 29
				}
				if files != want || !p.near.has("d2/f2", "changed\n") {
					t.Errorf("%d files, want %d: %+v", files, want, items)
				}
				if p.near.Status().Folders[0].State == "stopped" || p.far.Status().Folders[0].State == "stopped" {
					t.Error("stopped")
				}
			})
		}
	}
}

// TestDatabaseOfSyncthing2IsSetAside starts with what Syncthing 2 leaves.
func TestDatabaseOfSyncthing2IsSetAside(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for _, e := range []*end{p.near, p.far} {
		oldFiles(t, e)
		if err := os.MkdirAll(filepath.Join(e.home, "index-v2"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"main.db", "main.db-wal", "folder.0001-abcdefgh.db"} {
			if err := os.WriteFile(filepath.Join(e.home, "index-v2", name), []byte("SQLite format 3\x00"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.startBoth()
	p.near.write(t, "after", "x")
	eventually(t, "a file after that", func() bool { return p.far.has("after", "x") })
	p.equalTrees()
	if !p.near.has("d2/f2", "changed\n") {
		t.Error("files are gone")
	}
	for _, e := range []*end{p.near, p.far} {
		if _, err := os.Stat(filepath.Join(e.home, "index-v2.aside", "main.db")); err != nil {
			t.Errorf("not set aside: %v", err)
		}
	}
}
