//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFullDiskIsNamedAndHeals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	p := newPair(t, func(near bool, c *Config) {
		if !near {
			c.Folders[0].TrashDir = ""
		}
	})
	if err := syscall.Mount("tmpfs", p.far.dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		p.far.stop()
		_ = syscall.Unmount(p.far.dir, 0)
	})
	p.far.write(t, "filler", strings.Repeat("f", 1<<20))
	p.startBoth()
	eventually(t, "filler", func() bool { return !p.near.lacks("filler") })
	p.near.write(t, "big", strings.Repeat("b", 1500<<10))
	p.near.write(t, "small", "s")
	eventually(t, "small file, and the reason for the big one", func() bool {
		f := p.far.Status().Folders[0]
		return p.far.has("small", "s") && f.ErrorCount == 1 && f.Errors[0].Path == "big" && strings.Contains(f.Errors[0].Err, "space")
	})
	if err := os.Remove(p.far.path("filler")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "big file once there is space", func() bool { return p.far.has("big", strings.Repeat("b", 1500<<10)) })
	eventually(t, "no error is left", func() bool { return p.far.Status().Folders[0].ErrorCount == 0 })
}

// The root's content is in another place, as after an unmount: nothing is
// deleted on the other side, over restarts too.
func TestSwappedRootStops(t *testing.T) {
	p := newPair(t, func(_ bool, c *Config) { c.Folders[0].GuardRoot = true })
	for i := range 30 {
		p.near.write(t, fmt.Sprintf("dir/%d", i), "precious")
	}
	p.startBoth()
	p.equalTrees()
	if err := errors.Join(os.Rename(p.near.dir, p.near.dir+".away"), os.Mkdir(p.near.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	stopped := func() bool {
		f := p.near.Status().Folders[0]
		return (f.State == "stopped" || f.State == "error") && f.Error != ""
	}
	eventually(t, "stop", stopped)
	p.near.stop()
	p.start(true)
	eventually(t, "stop after a restart", stopped)
	if !p.far.has("dir/0", "precious") || !p.far.has("dir/29", "precious") {
		t.Error("the other side lost files")
	}
	eventually(t, "the folder back", func() bool { // a starting engine makes it anew
		return errors.Join(os.RemoveAll(p.near.dir), os.Rename(p.near.dir+".away", p.near.dir)) == nil
	})
	if err := p.near.Resume(t.Context(), testFolder); err != nil {
		t.Fatal(err)
	}
	p.near.write(t, "after", "x")
	eventually(t, "life goes on", func() bool { return p.far.has("after", "x") })
	p.equalTrees()
}

func TestLostAndDamagedDatabases(t *testing.T) {
	p := newPair(t, nil)
	for i := range 30 {
		p.near.write(t, fmt.Sprint(i), "precious")
	}
	p.startBoth()
	p.equalTrees()
	for _, e := range []*end{p.near, p.far} {
		e.stop()
		files, err := filepath.Glob(filepath.Join(e.home, "index-v0.14.0.db", "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no database: %v", err)
		}
		for _, file := range files {
			if err := os.WriteFile(file, []byte("garbage garbage garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.start(e == p.near)
		name := fmt.Sprint("after ", filepath.Base(e.dir))
		e.write(t, name, "x")
		eventually(t, name, func() bool { return p.near.has(name, "x") && p.far.has(name, "x") })
		p.equalTrees()
		if !p.near.has("0", "precious") {
			t.Error("files are gone")
		}
	}
}

// A line that is a black hole for a while, and one that is cut again and again.
func TestBadLine(t *testing.T) {
	p, line := breakable(t, nil)
	line.Stall(true)
	p.near.write(t, "stalled", "x")
	if err := p.near.Flush(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	line.Stall(false)
	eventually(t, "file after a stall", func() bool { return p.far.has("stalled", "x") })
	for i := range 10 {
		line.Cut()
		name := fmt.Sprint("cut", i)
		p.near.write(t, name, "x")
		p.far.write(t, "back"+name, "x")
	}
	p.equalTrees()
	p.settled()
}

func TestBadConfigurationIsRefused(t *testing.T) {
	p := newPair(t, nil)
	for name, spoil := range map[string]func(*Config){
		"no home":        func(c *Config) { c.Home = "" },
		"no certificate": func(c *Config) { c.Certificate.Certificate = nil },
		"peer":           func(c *Config) { c.Peers[0].ID = "nonsense" },
		"relative path":  func(c *Config) { c.Folders[0].Path = "here" },
		"no folder id":   func(c *Config) { c.Folders[0].ID = "" },
		"folder twice":   func(c *Config) { c.Folders = append(c.Folders, c.Folders[0]) },
		"address":        func(c *Config) { c.ListenAddress = "nowhere" },
	} {
		c := p.config(false)
		spoil(&c)
		if e, err := New(c); err == nil {
			e.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBusyPortIsNamed(t *testing.T) {
	p := newPair(t, nil)
	p.start(false)
	c := p.config(false) // the same port
	c.Home += ".other"
	if _, err := New(c); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("busy port: %v", err)
	}
}
