//go:build linux

package sync

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"okteto/internal/contract"
)

func TestContainerRootIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "//", "/app/.."} {
		_, err := PodFiles(PodOptions{Identity: w.identity, Folders: []Folder{{ID: "okteto-1", LocalPath: w.laptop, RemotePath: path}}})
		if err == nil || !strings.Contains(err.Error(), "name a folder below it") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// One process does the first synchronization and goes on: no change falls into a
// gap while another would start.
func TestNoRestartAfterTheFirstSynchronization(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, "file"), "x")
	w.startPod()
	d := w.start()
	before := content(filepath.Join(w.home, contract.SyncthingPIDFile))
	w.synced(d)
	write(t, filepath.Join(w.pod, "at once"), "from the pod")
	eventually(t, "the first edit after that", func() bool { return content(filepath.Join(w.laptop, "at once")) == "from the pod" })
	if after := content(filepath.Join(w.home, contract.SyncthingPIDFile)); after != before {
		t.Errorf("the process was %s and is %s", before, after)
	}
}

// A folder that cannot be removed in the pod, since an ignored file is in it, keeps
// nobody waiting, and is named.
func TestWaitDoesNotWaitForIgnoredFiles(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, ".stignore"), "*.env\n")
	write(t, filepath.Join(w.laptop, "app/code"), "x")
	w.startPod()
	d := w.start()
	w.synced(d)
	eventually(t, "the patterns in the pod", func() bool { return content(filepath.Join(w.pod, ".stignore")) == "*.env\n" })
	write(t, filepath.Join(w.pod, "app/secret.env"), "precious")
	if err := os.RemoveAll(filepath.Join(w.laptop, "app")); err != nil {
		t.Fatal(err)
	}
	if err := Wait(t.Context(), w.home); err != nil {
		t.Errorf("wait: %v", err)
	}
	if got := content(filepath.Join(w.pod, "app/secret.env")); got != "precious" {
		t.Errorf("the ignored file: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(w.pod, "app/code")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the other file: %v, want it gone", err)
	}
}
