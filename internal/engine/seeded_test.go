package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/syncthing/syncthing/lib/protocol"

	"okteto/internal/seed"
	"okteto/internal/seeded"
)

// reseed fills the far folder as `okteto up` fills that of a new pod.
func (p *pair) reseed() {
	p.t.Helper()
	laptop, pod := net.Pipe()
	served := make(chan error, 1)
	go func() {
		err := seed.Serve(p.t.Context(), pod)
		served <- errors.Join(err, pod.Close())
	}()
	_, err := seed.Send(p.t.Context(), laptop, []seed.Folder{{
		ID: testFolder, LocalPath: p.near.dir, RemotePath: p.far.dir, Trash: filepath.Join(p.far.home, "trash"),
	}}, nil)
	if err := errors.Join(err, laptop.Close(), <-served); err != nil {
		p.t.Fatal(err)
	}
}

// renewFar replaces the far end by one that has nothing and is not connected.
func (p *pair) renewFar() {
	p.t.Helper()
	p.far.stop()
	for _, dir := range []string{p.far.dir, p.far.home} {
		if err := os.RemoveAll(dir); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := os.Mkdir(p.far.dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.farAddress = ""
	p.start(false)
}

func (p *pair) connect() {
	p.t.Helper()
	if err := p.near.SetPeerAddress(deviceOf(p.farC), p.farAddress); err != nil {
		p.t.Fatal(err)
	}
}

// conflictsIn are the conflict copies in a folder.
func conflictsIn(t testing.TB, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), conflictMark) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is done on the laptop between the seed of a new pod and the first exchange of
// indexes is a change of what was seeded: no conflict with it, and nothing that was
// deleted comes back.
func TestChangesAfterASeedAreNoConflicts(t *testing.T) {
	for _, when := range []string{"before the connection", "just after it"} {
		t.Run(when, func(t *testing.T) {
			p := newPair(t, nil)
			const files = 40
			name := func(i int) string { return fmt.Sprintf("src/%d/file%d", i%4, i) }
			for i := range files {
				p.near.write(t, name(i), fmt.Sprint("first ", i))
			}
			if err := os.Symlink("nowhere", p.near.path("link")); err != nil {
				t.Fatal(err)
			}
			p.startBoth()
			p.renewFar()
			p.reseed()
			if when == "just after it" {
				p.connect()
			}
			long := time.Now().Add(-24 * time.Hour)
			for i := range files {
				switch i % 5 {
				case 0: // stays
				case 1:
					p.near.write(t, name(i), fmt.Sprint("second ", i))
				case 2: // as tar and cp -p write them
					p.near.write(t, name(i), fmt.Sprint("older ", i))
					if err := os.Chtimes(p.near.path(name(i)), long, long); err != nil {
						t.Fatal(err)
					}
				case 3:
					if err := os.Remove(p.near.path(name(i))); err != nil {
						t.Fatal(err)
					}
				case 4:
					if err := os.Rename(p.near.path(name(i)), p.near.path(name(i)+".moved")); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.Remove(p.near.path("link")); err != nil {
				t.Fatal(err)
			}
			if err := p.near.folders[testFolder].scan(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			p.connect()
			p.equalTrees()
			p.settled()
			for i := range files {
				for _, e := range []*end{p.near, p.far} {
					switch n := name(i); {
					case i%5 == 1 && !e.has(n, fmt.Sprint("second ", i)), i%5 == 2 && !e.has(n, fmt.Sprint("older ", i)),
						i%5 >= 3 && !e.lacks(n), i%5 == 4 && !e.has(n+".moved", fmt.Sprint("first ", i)):
						t.Errorf("%s in %s is not as it was left", n, e.dir)
					}
				}
			}
			for _, e := range []*end{p.near, p.far} {
				if copies := conflictsIn(t, e.dir); len(copies) > 0 {
					t.Errorf("%d conflict copies, %s among them", len(copies), copies[0])
				}
				if !e.lacks("link") {
					t.Errorf("the link is in %s again", e.dir)
				}
			}
			if seeded.Exists(p.far.dir) {
				t.Error("the list of what was seeded is left")
			}
		})
	}
}

// A change in the pod of what was seeded is one.
func TestAChangeOfASeededFileIsKept(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "a", "first")
	p.near.write(t, "b", "first")
	p.startBoth()
	p.renewFar()
	p.reseed()
	p.far.write(t, "a", "of the pod")
	p.near.write(t, "b", "of the laptop")
	p.connect()
	p.equalTrees()
	for _, e := range []*end{p.near, p.far} {
		if !e.has("a", "of the pod") || !e.has("b", "of the laptop") {
			t.Errorf("a change is gone in %s", e.dir)
		}
	}
}

// An upgrade of the library must not move the files that takeSeeded needs.
func TestModelsFilesAreFound(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	set, err := fileSetOf(p.near.model, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	p.near.write(t, "file", "content")
	eventually(t, "the file is in it", func() bool { return set.Sequence(protocol.LocalDeviceID) > 0 })
	if _, err := fileSetOf(p.near.model, "another"); !errors.Is(err, errNoFileSet) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
