//go:build linux

package sync

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/internal/contract"
	"okteto/internal/trash"
)

func TestLaptopWinsAtFirst(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, "both.txt"), "laptop")
	write(t, filepath.Join(w.laptop, "mine.txt"), "mine")
	write(t, filepath.Join(w.pod, "both.txt"), "pod's, and newer")
	write(t, filepath.Join(w.pod, "sub/theirs.txt"), "theirs")
	w.startPod()
	d := w.start()
	last := w.synced(d)
	if got := content(filepath.Join(w.pod, "both.txt")); got != "laptop" {
		t.Errorf("pod's both.txt: %q", got)
	}
	if got := content(filepath.Join(w.pod, "mine.txt")); got != "mine" {
		t.Errorf("pod's mine.txt: %q", got)
	}
	for _, path := range []string{filepath.Join(w.pod, "sub/theirs.txt"), filepath.Join(w.laptop, "sub/theirs.txt")} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", path, err)
		}
	}
	if last.RemoteOnly == 0 {
		t.Error("nothing was said about the pod's own files")
	}
	aside := filepath.Join(w.podHome, "trash", "okteto-1")
	for _, pattern := range []string{"both~*.txt", "sub/theirs~*.txt"} {
		if found, _ := filepath.Glob(filepath.Join(aside, pattern)); len(found) != 1 {
			t.Errorf("trash has %v for %s", found, pattern)
		}
	}
	// From now on both sides count.
	write(t, filepath.Join(w.pod, "later.txt"), "from the pod")
	eventually(t, "pod's new file on the laptop", func() bool { return content(filepath.Join(w.laptop, "later.txt")) == "from the pod" })
	if err := os.Remove(filepath.Join(w.pod, "mine.txt")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pod's deletion on the laptop", func() bool {
		_, err := os.Lstat(filepath.Join(w.laptop, "mine.txt"))
		return errors.Is(err, os.ErrNotExist)
	})
	if found, _ := filepath.Glob(filepath.Join(w.home, "trash/okteto-1/mine~*.txt")); len(found) != 1 {
		t.Errorf("laptop's trash has %v", found)
	}
}

func TestEditsMadeApartAreKept(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, "a.txt"), "a")
	write(t, filepath.Join(w.laptop, "b.txt"), "b")
	w.startPod()
	d := w.start()
	w.synced(d)
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.pod, "a.txt"), "a from the pod")
	write(t, filepath.Join(w.laptop, "b.txt"), "b from the laptop")
	d = w.start()
	w.synced(d)
	eventually(t, "both edits on both sides", func() bool {
		for _, dir := range []string{w.laptop, w.pod} {
			if content(filepath.Join(dir, "a.txt")) != "a from the pod" || content(filepath.Join(dir, "b.txt")) != "b from the laptop" {
				return false
			}
		}
		return true
	})
}

func TestFilesOfTheDaemonArePrivate(t *testing.T) {
	w := newWorld(t)
	w.startPod()
	d := w.start()
	w.synced(d)
	for _, name := range []string{
		contract.SyncthingInfoFile, contract.SyncthingPIDFile, contract.SyncthingKeyFile, contract.SyncthingCertFile,
		contract.SyncthingLogFile, settingsFile, lockFile,
	} {
		info, err := os.Stat(filepath.Join(w.home, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	args, err := os.ReadFile("/proc/" + content(filepath.Join(w.home, contract.SyncthingPIDFile)) + "/cmdline")
	if err == nil && strings.Contains(string(args), w.identity.APIKey) {
		t.Error("the API key is in the command line")
	}
	s, err := ReadStatus(t.Context(), w.home)
	if err != nil || !s.Connected {
		t.Errorf("status from outside: %+v, %v", s, err)
	}
}

func TestReconnectAfterNewTunnel(t *testing.T) {
	w := newWorld(t)
	w.startPod()
	d := w.start()
	w.synced(d)
	w.podStop()
	w.podAddr = "127.0.0.1:0"
	w.startPod()
	if err := d.Reconnect(t.Context(), w.podAddr); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.laptop, "after.txt"), "after")
	eventually(t, "file behind the new tunnel", func() bool { return content(filepath.Join(w.pod, "after.txt")) == "after" })
}

func TestDaemonThatDiesIsExplained(t *testing.T) {
	w := newWorld(t)
	w.startPod()
	d := w.start()
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v does not say what happened", err)
	}
	w.synced(w.start())
}

func TestDaemonDiesWithItsParent(t *testing.T) {
	w := newWorld(t)
	secret := t.TempDir()
	for name, value := range w.identity.SecretData() {
		if err := os.WriteFile(filepath.Join(secret, name), value, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "OKTETO_TEST_PARENT="+w.home, "OKTETO_TEST_PEER=127.0.0.1:1", "OKTETO_TEST_DIR="+w.laptop, "OKTETO_TEST_SECRET="+secret)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	info := filepath.Join(w.home, contract.SyncthingInfoFile)
	eventually(t, "daemon of the other up", func() bool {
		_, err := ReadInfo(w.home)
		return err == nil
	})
	pid, alive, err := owner(w.home)
	if err != nil || !alive || pid == 0 {
		t.Fatalf("owner: %d %v %v", pid, alive, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "daemon's end", func() bool {
		_, alive, err := owner(w.home)
		return err == nil && !alive
	})
	if _, err := ReadInfo(w.home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%s left behind: %v, want ErrNotRunning", info, err)
	}
}

func TestSecondUpTakesOver(t *testing.T) {
	w := newWorld(t)
	w.startPod()
	first := w.start()
	w.synced(first)
	second := w.start()
	w.synced(second)
	<-first.Done()
	write(t, filepath.Join(w.laptop, "x"), "x")
	eventually(t, "sync by the second", func() bool { return content(filepath.Join(w.pod, "x")) == "x" })
}

func TestIgnorePatternsAreLiveOnBothSides(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, "a.txt"), "a")
	w.startPod()
	d := w.start()
	w.synced(d)
	write(t, filepath.Join(w.laptop, "more.ignore"), "/secret\n")
	write(t, filepath.Join(w.laptop, ".stignore"), "*.tmp\n#include more.ignore\n")
	eventually(t, "patterns in the pod, with what they include", func() bool {
		return content(filepath.Join(w.pod, ".stignore")) == "*.tmp\n/secret\n"
	})
	for _, dir := range []string{w.laptop, w.pod} {
		write(t, filepath.Join(dir, "x.tmp"), "ignored in "+dir)
		write(t, filepath.Join(dir, "secret"), "ignored in "+dir)
		write(t, filepath.Join(dir, "seen by "+filepath.Base(dir)), "seen")
	}
	if err := Wait(t.Context(), w.home); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{w.laptop, w.pod} {
		for _, name := range []string{"x.tmp", "secret"} {
			if got := content(filepath.Join(dir, name)); got != "ignored in "+dir {
				t.Errorf("%s in %s: %q", name, dir, got)
			}
		}
		for _, name := range []string{"seen by laptop", "seen by pod"} {
			if got := content(filepath.Join(dir, name)); got != "seen" {
				t.Errorf("%s in %s: %q", name, dir, got)
			}
		}
	}
	// A change of the included file counts, too.
	write(t, filepath.Join(w.laptop, "more.ignore"), "")
	eventually(t, "file that is no longer ignored", func() bool {
		return !strings.HasPrefix(content(filepath.Join(w.laptop, "secret")), "error") && content(filepath.Join(w.laptop, "secret")) == content(filepath.Join(w.pod, "secret"))
	})
}

func TestWait(t *testing.T) {
	w := newWorld(t)
	w.startPod()
	if err := Wait(t.Context(), w.home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a daemon: %v", err)
	}
	d := w.start()
	w.synced(d)
	for i := range 20 {
		for _, ends := range [][2]string{{w.laptop, w.pod}, {w.pod, w.laptop}} {
			for j := range 10 {
				write(t, filepath.Join(ends[0], "dir", string(rune('a'+j))), strings.Repeat("x", i+j))
			}
			if err := Wait(t.Context(), w.home); err != nil {
				t.Fatal(err)
			}
			for j := range 10 {
				if got := content(filepath.Join(ends[1], "dir", string(rune('a'+j)))); got != strings.Repeat("x", i+j) {
					t.Fatalf("round %d, file %d: %q", i, j, got)
				}
			}
		}
	}
	w.podStop()
	write(t, filepath.Join(w.laptop, "late"), "x")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Wait(ctx, w.home); err == nil {
		t.Error("without a pod nothing was missing")
	}
}

// A pod with a watcher need not read its whole folder for each wait: what changes
// through another name outside of the folder, which no watcher sees, is not found.
func TestWaitReadsNoWholeFolder(t *testing.T) {
	w := newWorld(t)
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "0")
	if err := os.Link(outside, filepath.Join(w.pod, "linked")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.laptop, "linked"), "0")
	w.startPod()
	w.synced(w.start())
	if err := os.Remove(filepath.Join(w.pod, "linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(outside, filepath.Join(w.pod, "linked")); err != nil {
		t.Fatal(err)
	}
	if err := Wait(t.Context(), w.home); err != nil {
		t.Fatal(err)
	}
	const attempts = 5 // a watcher that is late for want of a processor is not relied on
	for i := range attempts {
		write(t, outside, strings.Repeat("x", i+2))
		if err := Wait(t.Context(), w.home); err != nil {
			t.Fatal(err)
		}
		if content(filepath.Join(w.laptop, "linked")) != strings.Repeat("x", i+2) {
			return
		}
	}
	t.Errorf("the pod read its whole folder each time, in %d waits", attempts)
}

func TestTrashIsListedAndRestored(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.laptop, "dir/file.txt"), "precious")
	w.startPod()
	d := w.start()
	w.synced(d)
	if err := os.Remove(filepath.Join(w.pod, "dir/file.txt")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deletion on the laptop", func() bool { return strings.HasPrefix(content(filepath.Join(w.laptop, "dir/file.txt")), "error") })
	items, err := trash.List(TrashDir(w.home))
	if err != nil || len(items) != 1 || items[0].Path != "dir/file.txt" || items[0].Folder != "okteto-1" {
		t.Fatalf("trash: %+v, %v", items, err)
	}
	roots := map[string]string{"okteto-1": w.laptop}
	if _, err := trash.Restore(TrashDir(w.home), roots, "nothing", time.Time{}); !errors.Is(err, trash.ErrAbsent) {
		t.Errorf("unknown file: %v", err)
	}
	if _, err := trash.Restore(TrashDir(w.home), roots, "dir/file.txt", time.Time{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "restored file in the pod", func() bool { return content(filepath.Join(w.pod, "dir/file.txt")) == "precious" })
	write(t, filepath.Join(w.laptop, "dir/file.txt"), "newer")
	if _, err := trash.Restore(TrashDir(w.home), roots, filepath.Join(w.laptop, "dir/file.txt"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if items, err = trash.List(TrashDir(w.home)); err != nil || len(items) != 2 {
		t.Errorf("what was there is not in the trash: %+v, %v", items, err)
	}
}

func TestEmptiedFolderStopsUntilResumed(t *testing.T) {
	for _, side := range []string{"laptop", "pod"} {
		t.Run(side, func(t *testing.T) {
			w := newWorld(t)
			for i := range 20 {
				write(t, filepath.Join(w.laptop, "dir", string(rune('a'+i))), "precious")
			}
			w.startPod()
			d := w.start()
			w.synced(d)
			emptied, other := w.laptop, w.pod
			if side == "pod" {
				emptied, other = other, emptied
			}
			// What comes from the emptied side shows that it is done with what
			// it has received: no scan is under way.
			write(t, filepath.Join(emptied, "dir/settled"), "x")
			eventually(t, "both settled", func() bool { return content(filepath.Join(other, "dir/settled")) == "x" })
			w.synced(d)
			// As when a volume is unmounted: all at once.
			if err := os.Rename(filepath.Join(emptied, "dir"), filepath.Join(t.TempDir(), "away")); err != nil {
				t.Fatal(err)
			}
			if side == "pod" {
				eventually(t, "pod's folder stopped", func() bool {
					s, err := d.Status(t.Context())
					return err == nil && s.Folders[0].There.State == "paused"
				})
			} else {
				eventually(t, "folder stopped", func() bool {
					s, err := d.Status(t.Context())
					return err == nil && s.Folders[0].State == "stopped" && s.Folders[0].Error != ""
				})
			}
			if err := Wait(t.Context(), w.home); err == nil || !strings.Contains(err.Error(), "okteto sync resume") {
				t.Errorf("wait does not say how to go on: %v", err)
			}
			for i := range 20 {
				if got := content(filepath.Join(other, "dir", string(rune('a'+i)))); got != "precious" {
					t.Fatalf("the other side lost a file: %q", got)
				}
			}
			if resumed, err := Resume(t.Context(), w.home); err != nil || len(resumed) != 1 {
				t.Fatalf("resumed %v, %v", resumed, err)
			}
			eventually(t, "deletion goes on", func() bool {
				_, err := os.Lstat(filepath.Join(other, "dir"))
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}
