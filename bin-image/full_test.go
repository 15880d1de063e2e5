package binimage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"okteto/bin-image/original"
	"okteto/bin-image/sandbox"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// volume is what a claim is to the original: one file system for everything that
// the pod keeps.
type volume struct {
	t   *testing.T
	dir string
}

func newVolume(t *testing.T, size int) volume {
	t.Helper()
	v := volume{t: t, dir: t.TempDir()}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a file system")
	}
	if err := unix.Mount("tmpfs", v.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=777", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(v.dir, unix.MNT_DETACH) })
	return v
}

// mount the volume's parts where the original does.
func (v volume) mount(o *sandbox.Options) {
	v.t.Helper()
	o.Volumes = map[string]string{}
	for path, part := range map[string]string{
		"/src": contract.SourceSubPath, contract.RemoteDir: contract.RemoteSubPath, contract.SyncthingHome: contract.SyncthingSubPath,
	} {
		part = filepath.Join(v.dir, part)
		if err := os.MkdirAll(part, 0o755); err != nil {
			v.t.Fatal(err)
		}
		if err := os.Chmod(part, 0o777); err != nil {
			v.t.Fatal(err)
		}
		o.Volumes[path] = part
	}
}

// fill it to the last byte, and empty it again.
func (v volume) fill() {
	v.t.Helper()
	f, err := os.Create(filepath.Join(v.dir, contract.SourceSubPath, "filler"))
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, os.Getpagesize()); err == nil; {
		_, err = f.Write(page)
	}
}

func (v volume) empty() {
	v.t.Helper()
	if err := os.Remove(filepath.Join(v.dir, contract.SourceSubPath, "filler")); err != nil {
		v.t.Fatal(err)
	}
}

// TestVolumeFull: a container that starts on a full volume can be logged in to,
// since that is how room is made, loses nothing of what is there, and then works.
func TestVolumeFull(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sandbox.Options){
		"nothing new": func(*sandbox.Options) {},
		"new secret": func(o *sandbox.Options) {
			o.SyncSecret[contract.SyncthingConfigFile] += "<!-- by another up -->\n"
			o.Secret[".stignore-1"] = "(?d)other\n"
		},
		"no configuration": func(o *sandbox.Options) {
			if err := os.Remove(filepath.Join(o.Volumes[contract.SyncthingHome], contract.SyncthingConfigFile)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t, 16<<20)
			d, o := dev(t, original.Dev{Era: original.H, Folders: []original.Folder{{Path: "/src", Ignore: "(?d)first\n"}}})
			key, err := identity.LoadOrCreateUserKey(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			o.Secret = d.Secret(string(key.AuthorizedKey))
			o.UID, o.GID, o.ReadOnly = 12345, 12345, true
			v.mount(&o)
			c := sandbox.Start(t, o)
			ready(c)
			c.Stop()

			change(&o)
			v.fill()
			c = sandbox.Start(t, o)
			says(t, c, "[+]okteto-remote ok")
			client := connect(t, c, key)
			defer client.Close()
			session, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := session.CombinedOutput("echo in"); err != nil || string(out) != "in\n" {
				t.Errorf("a command: %q, %v", out, err)
			}
			says(t, c, "(disk-full)")
			if ignores := read(t, c.Path("/src/.stignore")); ignores != "(?d)first\n" {
				t.Errorf("ignore file %q: there was no room for another", ignores)
			}
			v.empty()
			ready(c)
			if strings.Contains(c.Log(), "sync database is damaged") {
				t.Error("a full disk was taken for a damaged database")
			}
		})
	}
}
