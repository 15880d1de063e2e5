//go:build e2e

package agents

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"okteto/bin-image/original"
)

// stockVersion is the Syncthing that a CLI of the era runs on the laptop. Of 2.x,
// which the newest downloads, no Go module exists; what it does to the pod, the
// newest 1.x does too.
func stockVersion(era original.Era) string {
	switch era {
	case original.S:
		return "v1.9.0"
	case original.M:
		return "v1.18.0"
	default:
		return "v1.30.0"
	}
}

var building sync.Mutex

// stock builds Syncthing's own program of a version, once for all runs.
func stock(t testing.TB, version string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "okteto-e2e")
	binary := filepath.Join(dir, "syncthing-"+version)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := buildStock(dir, binary, version, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return binary
}

func buildStock(dir, binary, version, scratch string) error {
	download := exec.Command("go", "mod", "download", "-json", "github.com/syncthing/syncthing@"+version)
	download.Dir = scratch // outside this module
	download.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := download.Output()
	if err != nil {
		return fmt.Errorf("download Syncthing %s: %w: %s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	// A copy, since the oldest lack a generated file: the pages of the web
	// interface, which nobody looks at here.
	source := filepath.Join(scratch, "source")
	if err := copyTree(module.Dir, source); err != nil {
		return err
	}
	const pages = `//go:build !noassets

package auto

import "github.com/syncthing/syncthing/lib/assets"

func Assets() map[string]assets.Asset { return nil }
`
	if err := os.WriteFile(filepath.Join(source, "lib/api/auto/gui.files.go"), []byte(pages), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-tags", "noquic", "-ldflags", "-X github.com/syncthing/syncthing/lib/build.Version="+version,
		"-o", binary, "./cmd/syncthing")
	build.Dir = source
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build Syncthing %s: %w\n%s", version, err, out)
	}
	return nil
}

// copyTree copies a module out of the read-only cache.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}
