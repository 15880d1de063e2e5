//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"okteto/internal/testkit/proxy"
	"okteto/internal/testkit/tree"
)

// breakable puts a proxy between the ends.
func breakable(t *testing.T, configure func(near bool, c *Config)) (*pair, *proxy.Proxy) {
	t.Helper()
	var line *proxy.Proxy
	p := newPair(t, func(near bool, c *Config) {
		if near {
			c.Peers[0].Address = line.Addr()
		}
		if configure != nil {
			configure(near, c)
		}
	})
	p.start(false)
	var err error
	if line, err = proxy.New(p.farAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.Close)
	p.start(true)
	p.settled()
	return p, line
}

func apart(p *pair, line *proxy.Proxy) {
	line.Refuse(true)
	line.Cut()
	eventually(p.t, "both ends apart", func() bool { return !p.near.Status().Connected && !p.far.Status().Connected })
}

func together(p *pair, line *proxy.Proxy) {
	line.Refuse(false)
	eventually(p.t, "both ends together", func() bool { return p.near.Status().Connected && p.far.Status().Connected })
}

func TestConflictKeepsBoth(t *testing.T) {
	p, line := breakable(t, nil)
	p.near.write(t, "file.txt", "common")
	eventually(t, "start", func() bool { return p.far.has("file.txt", "common") })
	apart(p, line)
	p.near.write(t, "file.txt", "older, from the laptop")
	time.Sleep(1100 * time.Millisecond) // times are compared in seconds on some disks
	p.far.write(t, "file.txt", "newer, from the pod")
	for _, e := range []*end{p.near, p.far} {
		if err := e.Flush(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	together(p, line)
	for _, e := range []*end{p.near, p.far} {
		eventually(t, "newest keeps the name", func() bool { return e.has("file.txt", "newer, from the pod") })
		eventually(t, "conflict is counted", func() bool { return e.Status().Folders[0].Conflicts == 1 })
		copies := e.Conflicts(testFolder)
		if len(copies) != 1 || !e.has(copies[0], "older, from the laptop") {
			t.Errorf("conflict copies: %v", copies)
		}
	}
	if err := os.Remove(p.near.path(p.near.Conflicts(testFolder)[0])); err != nil {
		t.Fatal(err)
	}
	eventually(t, "resolved conflict on both sides", func() bool {
		return p.near.Status().Folders[0].Conflicts == 0 && p.far.Status().Folders[0].Conflicts == 0
	})
}

func TestDeleteLosesAgainstEdit(t *testing.T) {
	p, line := breakable(t, nil)
	p.near.write(t, "file.txt", "common")
	eventually(t, "start", func() bool { return p.far.has("file.txt", "common") })
	apart(p, line)
	if err := os.Remove(p.near.path("file.txt")); err != nil {
		t.Fatal(err)
	}
	p.far.write(t, "file.txt", "edited")
	together(p, line)
	eventually(t, "edit on both sides", func() bool { return p.near.has("file.txt", "edited") && p.far.has("file.txt", "edited") })
}

// Ignored files survive when the folder around them is removed on the other
// side; that folder stays, is named, and holds up nothing else.
func TestIgnoredFilesSurvive(t *testing.T) {
	p := newPair(t, nil)
	for _, e := range []*end{p.near, p.far} {
		e.write(t, ".stignore", "*.env\n(?d)*.cache\n")
	}
	p.near.write(t, "app/code.go", "code")
	p.near.write(t, "scratch/code.go", "code")
	p.startBoth()
	eventually(t, "start", func() bool { return p.far.has("app/code.go", "code") && p.far.has("scratch/code.go", "code") })
	p.far.write(t, "app/secret.env", "precious")
	p.far.write(t, "scratch/x.cache", "disposable")
	for _, dir := range []string{"app", "scratch"} {
		if err := os.RemoveAll(p.near.path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "code removed", func() bool { return p.far.lacks("app/code.go") })
	eventually(t, "disposable folder removed", func() bool { return p.far.lacks("scratch") })
	eventually(t, "folder that cannot be removed is named", func() bool {
		f := p.far.Status().Folders[0]
		return f.ErrorCount == 1 && f.Errors[0].Path == "app"
	})
	p.near.write(t, "other.txt", "goes on")
	eventually(t, "rest goes on", func() bool { return p.far.has("other.txt", "goes on") })
	if !p.far.has("app/secret.env", "precious") {
		t.Error("the ignored file is gone")
	}
}

func TestEveryKindOfFileCrosses(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	for i, ends := range [][2]*end{{p.near, p.far}, {p.far, p.near}} {
		e := ends[0]
		in := func(name string) string { return e.path(fmt.Sprint("side", i, "/", name)) }
		e.write(t, fmt.Sprint("side", i, "/a b/ü ñ 中文.txt"), "unicode")
		e.write(t, fmt.Sprint("side", i, "/script"), "#!/bin/sh\n")
		e.write(t, fmt.Sprint("side", i, "/secret"), "s")
		e.write(t, fmt.Sprint("side", i, "/readonly"), "r")
		e.write(t, fmt.Sprint("side", i, "/hard1"), "hard")
		e.write(t, fmt.Sprint("side", i, `/con.txt:x*?"<>|`), "a name that Windows has not")
		if err := errors.Join(
			os.Chmod(in("script"), 0o755), os.Chmod(in("secret"), 0o600), os.Chmod(in("readonly"), 0o444),
			os.Link(in("hard1"), in("hard2")),
			os.Symlink("nowhere", in("dangling")), os.Symlink("/etc/hostname", in("absolute")), os.Symlink("a b", in("todir")),
			os.MkdirAll(in("empty/folder"), 0o755),
			syscall.Mkfifo(in("fifo"), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		eventually(t, "last of them", func() bool { return ends[1].has(fmt.Sprint("side", i, "/hard2"), "hard") })
		eventually(t, "the note of what is skipped", func() bool {
			f := e.Status().Folders[0]
			return f.SkippedCount == 1 && f.Skipped[0].Path == fmt.Sprint("side", i, "/fifo") && strings.Contains(f.Skipped[0].Err, "named pipe") && f.ErrorCount == 0
		})
		if err := os.Remove(in("fifo")); err != nil {
			t.Fatal(err)
		}
		p.equalTrees()
		if n := e.Status().Folders[0].SkippedCount; n != 0 {
			t.Errorf("%d skipped, and it is gone", n)
		}
		// The exec bit survives an edit, and alone is a change.
		e.write(t, fmt.Sprint("side", i, "/script"), "#!/bin/sh\necho\n")
		if err := os.Chmod(in("secret"), 0o640); err != nil {
			t.Fatal(err)
		}
		p.equalTrees()
		// A name whose case alone changes.
		if err := os.Rename(in("hard1"), in("HARD1")); err != nil {
			t.Fatal(err)
		}
		p.equalTrees()
		// Kinds that change.
		if err := errors.Join(os.Remove(in("secret")), os.Mkdir(in("secret"), 0o755), os.RemoveAll(in("empty")), os.Symlink("x", in("empty"))); err != nil {
			t.Fatal(err)
		}
		p.equalTrees()
	}
}

func TestDecomposedNamesAreComposed(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	const composed, decomposed = "caf\u00e9.txt", "cafe\u0301.txt"
	p.near.write(t, decomposed, "x") // as macOS once wrote them
	eventually(t, "composed name", func() bool { return p.far.has(composed, "x") })
}

func TestFileReplacedWhileItIsSent(t *testing.T) {
	p, line := breakable(t, nil)
	line.SetRate(4 << 20)
	p.near.write(t, "big", strings.Repeat("a", 3<<20))
	eventually(t, "transfer has begun", func() bool { return p.far.Status().Folders[0].Here.NeedBytes > 0 })
	final := strings.Repeat("b", 2<<20)
	p.near.write(t, "big", final)
	line.SetRate(0)
	eventually(t, "last content", func() bool { return p.far.has("big", final) })
	p.settled()
}

// A build writes thousands of files; a save in the middle of it is there long
// before the last of them, and all arrive.
func TestSaveInAStorm(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "src/main.go", "0")
	p.startBoth()
	const files = 2500
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tree.Generate(p.near.path("build"), tree.Spec{Files: files, MaxSize: 512}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "storm has begun", func() bool { return !p.far.lacks("build") })
	p.near.write(t, "src/main.go", "saved")
	eventually(t, "save", func() bool { return p.far.has("src/main.go", "saved") })
	there, err := tree.List(p.far.path("build"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	wg.Wait()
	t.Logf("%d items of the build were there with the save", len(there))
	p.settled()
	p.equalTrees()
	if err := os.RemoveAll(p.near.path("build")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "removal of all", func() bool { return p.far.lacks("build") })
}

func TestSeveralAndNestedFolders(t *testing.T) {
	var p *pair
	p = newPair(t, func(near bool, c *Config) {
		e := p.far
		if near {
			e = p.near
		}
		second := c.Folders[0]
		second.ID, second.Path = "okteto-2", filepath.Join(e.home+".second folder", "ü")
		inner := c.Folders[0]
		inner.ID, inner.Path = "okteto-3", filepath.Join(e.dir, "inner")
		c.Folders = append(c.Folders, second, inner)
	})
	p.startBoth()
	for _, path := range []string{p.near.dir + "/a", p.near.home + ".second folder/ü/b", p.near.dir + "/inner/c"} {
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{p.far.dir + "/a", p.far.home + ".second folder/ü/b", p.far.dir + "/inner/c"} {
		eventually(t, path, func() bool {
			_, err := os.Stat(path)
			return err == nil
		})
	}
}
