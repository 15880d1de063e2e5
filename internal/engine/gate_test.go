//go:build linux

package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestEmptiedAtAnyMoment takes all files away, at once, at a random moment around
// the start of a side, while other things happen there: the folder stops, and the
// other side keeps all. OKTETO_TEST_FULL=1 tries thousands of times.
func TestEmptiedAtAnyMoment(t *testing.T) {
	tries := 12
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		tries = 3000
	}
	const files = 20
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	name := func(i int) string { return fmt.Sprintf("dir/sub%d/%d", i%3, i) }
	for i := range files {
		p.near.write(t, name(i), "precious")
	}
	p.startBoth()
	p.equalTrees()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("OKTETO_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("seed %d", seed)
	defer func() {
		if t.Failed() {
			t.Logf("near: %+v\nfar: %+v", p.near.Status(), p.far.Status())
		}
	}()
	random := rand.New(rand.NewPCG(seed, 1))
	for try := range tries {
		e, other := p.near, p.far
		if random.IntN(2) == 0 {
			e, other = p.far, p.near
		}
		e.stop()
		p.start(e == p.near)
		if random.IntN(2) == 0 {
			p.settled()
		}
		noise := random.IntN(4)
		switch noise { // so that scans are under way
		case 0:
			e.write(t, "noise", fmt.Sprint(try))
		case 1:
			e.write(t, name(0), fmt.Sprint("edited ", try))
			eventually(t, "the edit there", func() bool { return other.has(name(0), fmt.Sprint("edited ", try)) })
		case 2:
			go func() { _ = e.Scan(t.Context(), testFolder) }()
		}
		time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond)
		away := e.home + ".away"
		if err := os.Rename(e.path("dir"), away); err != nil {
			t.Fatal(err)
		}
		if noise == 0 { // or the noise is left: not all is gone, and yet too much
			_ = os.Remove(e.path("noise"))
		}
		eventually(t, "the folder stopped", func() bool {
			for i := range files {
				if other.lacks(name(i)) {
					t.Fatalf("try %d, noise %d: the other side lost %s", try, noise, name(i))
				}
			}
			return e.Status().Folders[0].State == "stopped"
		})
		if err := errors.Join(os.RemoveAll(e.path("dir")), os.Rename(away, e.path("dir"))); err != nil {
			t.Fatal(err)
		}
		if err := e.Resume(t.Context(), testFolder); err != nil {
			t.Fatal(err)
		}
		p.equalTrees()
	}
}

// TestRenamedDirectoryIsNotLost renames the directory that all files are in.
func TestRenamedDirectoryIsNotLost(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for i := range 30 {
		p.near.write(t, fmt.Sprintf("src/%d", i), fmt.Sprint("content ", i))
	}
	p.startBoth()
	p.equalTrees()
	if err := os.Rename(p.near.path("src"), p.near.path("lib")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other side follows", func() bool { return p.far.lacks("src") && p.far.has("lib/29", "content 29") })
	p.equalTrees()
}

// TestRemovedDirectoryIsCountedOnce removes a directory with a third of the
// files: the removals of its files and its own are the same loss.
func TestRemovedDirectoryIsCountedOnce(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for i := range 300 {
		p.near.write(t, fmt.Sprintf("d%d/%d", i%3, i), "x")
	}
	p.startBoth()
	p.equalTrees()
	if err := os.RemoveAll(p.near.path("d1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal there", func() bool { return p.far.lacks("d1") })
	if s := p.near.Status().Folders[0]; s.State == "stopped" {
		t.Errorf("stopped: %s", s.Error)
	}
}

// TestDirectoryReplacedByAnotherKind puts a link or a file where the directory of
// all files was: for the other side that is the same as an emptied folder.
func TestDirectoryReplacedByAnotherKind(t *testing.T) {
	for kind, replace := range map[string]func(path, away string) error{
		"link": func(path, away string) error { return os.Symlink(away, path) },
		"file": func(path, _ string) error { return os.WriteFile(path, []byte("x"), 0o644) },
	} {
		t.Run(kind, func(t *testing.T) {
			p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
			for i := range 20 {
				p.near.write(t, fmt.Sprintf("dir/%d", i), "precious")
			}
			p.startBoth()
			p.equalTrees()
			away := filepath.Join(t.TempDir(), "away")
			if err := errors.Join(os.Rename(p.near.path("dir"), away), replace(p.near.path("dir"), away)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "stop", func() bool { return p.near.Status().Folders[0].State == "stopped" })
			for i := range 20 {
				if !p.far.has(fmt.Sprintf("dir/%d", i), "precious") {
					t.Fatalf("the other side lost dir/%d", i)
				}
			}
			if err := p.near.Resume(t.Context(), testFolder); err != nil {
				t.Fatal(err)
			}
			p.equalTrees()
		})
	}
}

// TestMarkerRemoved removes .stignore, which also marks the folder: the folder
// goes on, while the engine runs and after a restart.
func TestMarkerRemoved(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for i := range 20 {
		p.near.write(t, fmt.Sprint(i), "x")
	}
	p.startBoth()
	p.equalTrees()
	for _, stopped := range []bool{false, true} {
		if stopped {
			p.near.stop()
		}
		if err := os.Remove(p.near.path(".stignore")); err != nil {
			t.Fatal(err)
		}
		if stopped {
			p.start(true)
		}
		eventually(t, "the marker again", func() bool { return !p.near.lacks(".stignore") })
		name := fmt.Sprint("after, stopped ", stopped)
		p.near.write(t, name, "x")
		eventually(t, name, func() bool { return p.far.has(name, "x") })
	}
}

// TestRemovalsWithoutEvents finds removals by scanning alone.
func TestRemovalsWithoutEvents(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) {
		c.Folders[0].GuardRoot = true
		c.Watch.MaxWatches, c.Watch.PollInterval = 1, 50*time.Millisecond
	})
	for i := range 60 {
		p.near.write(t, fmt.Sprintf("dir%d/%d", i%3, i), "x")
	}
	p.startBoth()
	p.equalTrees()
	if err := os.Remove(p.near.path("dir1/1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one removal", func() bool { return p.far.lacks("dir1/1") })
	if err := os.RemoveAll(p.near.path("dir2")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "many removals", func() bool { return p.far.lacks("dir2") })
	p.equalTrees()
}
