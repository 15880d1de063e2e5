package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"okteto/internal/seeded"
	"okteto/internal/testkit/tree"
)

// seedOnce runs both ends over a pipe.
func seedOnce(t *testing.T, folders ...Folder) []Result {
	t.Helper()
	results, err := trySeed(t.Context(), folders...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func trySeed(ctx context.Context, folders ...Folder) ([]Result, error) {
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		err := Serve(ctx, far)
		far.Close()
		served <- err
	}()
	results, err := Send(ctx, near, folders, nil)
	near.Close()
	return results, errors.Join(err, <-served)
}

func dirs(t *testing.T) (laptop, pod, trash string) {
	base := t.TempDir()
	laptop, pod, trash = filepath.Join(base, "laptop"), filepath.Join(base, "pod"), filepath.Join(base, "trash")
	if err := os.Mkdir(laptop, 0o755); err != nil {
		t.Fatal(err)
	}
	return laptop, pod, trash
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, a, b string) {
	t.Helper()
	diff, err := tree.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(diff) > 0 {
		t.Errorf("trees differ: %v", diff)
	}
}

func TestEverythingCrosses(t *testing.T) {
	laptop, pod, trash := dirs(t)
	put(t, filepath.Join(laptop, "a file with spaces/ü.txt"), "content")
	put(t, filepath.Join(laptop, "empty"), "")
	put(t, filepath.Join(laptop, "big"), strings.Repeat("0123456789abcdef", 300_000))
	put(t, filepath.Join(laptop, "script.sh"), "#!/bin/sh\n")
	put(t, filepath.Join(laptop, "secret"), "s")
	put(t, filepath.Join(laptop, "readonly/file"), "r")
	old := time.Date(2001, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	if err := errors.Join(
		os.Chmod(filepath.Join(laptop, "script.sh"), 0o755),
		os.Chmod(filepath.Join(laptop, "secret"), 0o600),
		os.Chmod(filepath.Join(laptop, "readonly/file"), 0o444),
		os.Chmod(filepath.Join(laptop, "readonly"), 0o555),
		os.Mkdir(filepath.Join(laptop, "empty dir"), 0o750),
		os.Symlink("nowhere/at/all", filepath.Join(laptop, "dangling")),
		os.Symlink("/etc/passwd", filepath.Join(laptop, "absolute")),
		os.Symlink("empty dir", filepath.Join(laptop, "to a dir")),
		os.Chtimes(filepath.Join(laptop, "empty"), old, old),
		syscall.Mkfifo(filepath.Join(laptop, "fifo"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, root := range []string{laptop, pod} {
			_ = os.Chmod(filepath.Join(root, "readonly"), 0o755)
		}
	})
	result := seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash})[0]
	if result.FailedCount > 0 || len(result.Unreadable) > 0 {
		t.Errorf("failed: %v, unreadable: %v", result.Failed, result.Unreadable)
	}
	if len(result.Special) != 1 || result.Special[0] != "fifo" {
		t.Errorf("special files: %v", result.Special)
	}
	if err := os.Remove(filepath.Join(laptop, "fifo")); err != nil {
		t.Fatal(err)
	}
	equal(t, laptop, pod)
	again := seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash})[0]
	if again.Files+again.Links+again.Dirs+again.Replaced+again.Trashed > 0 {
		t.Errorf("a second seed did work: %+v", again)
	}
}

func TestSparseFilesStaySparse(t *testing.T) {
	laptop, pod, trash := dirs(t)
	const size = 64 << 20
	file, err := os.Create(filepath.Join(laptop, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte("in the middle"), size/2)
	if err := errors.Join(err, file.Truncate(size), file.Close()); err != nil {
		t.Fatal(err)
	}
	seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash})
	equal(t, laptop, pod)
	info, err := os.Stat(filepath.Join(pod, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > size/16 {
		t.Errorf("the file takes %d of %d bytes", used, size)
	}
}

func TestLaptopWinsAndPodsOwnGoToTheTrash(t *testing.T) {
	laptop, pod, trash := dirs(t)
	put(t, filepath.Join(laptop, "both"), "laptop")
	put(t, filepath.Join(pod, "both"), "pod")
	put(t, filepath.Join(pod, "dir/only.txt"), "pod")
	put(t, filepath.Join(pod, "node_modules/x.js"), "ignored")
	put(t, filepath.Join(pod, "wasdir/x"), "x")
	put(t, filepath.Join(laptop, "wasdir"), "a file now")
	skip := func(path string) (bool, bool) { return strings.HasPrefix(path, "node_modules"), true }
	result := seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, Skip: skip, LocalWins: true, Trash: trash})[0]
	for name, want := range map[string]string{"both": "laptop", "node_modules/x.js": "ignored", "wasdir": "a file now"} {
		if got, err := os.ReadFile(filepath.Join(pod, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(pod, "dir")); !os.IsNotExist(err) {
		t.Error("the pod's own folder is still there")
	}
	for _, pattern := range []string{"both~*", "dir/only~*.txt", "wasdir/x~*"} {
		if found, _ := filepath.Glob(filepath.Join(trash, pattern)); len(found) != 1 {
			t.Errorf("trash for %s: %v", pattern, found)
		}
	}
	if result.Trashed != 2 || result.Replaced != 2 {
		t.Errorf("counted %d trashed, %d replaced", result.Trashed, result.Replaced)
	}
}

func TestOnlyANewPodIsFilled(t *testing.T) {
	laptop, pod, trash := dirs(t)
	put(t, filepath.Join(laptop, "both"), "laptop")
	put(t, filepath.Join(laptop, "deleted in the pod"), "x")
	put(t, filepath.Join(pod, "both"), "pod")
	put(t, filepath.Join(pod, "own"), "pod")
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	seedOnce(t, folder)
	for name, want := range map[string]string{"both": "pod", "own": "pod"} {
		if got, _ := os.ReadFile(filepath.Join(pod, name)); string(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := os.Lstat(filepath.Join(pod, "deleted in the pod")); !os.IsNotExist(err) {
		t.Error("a deletion was undone")
	}
	if err := os.RemoveAll(pod); err != nil {
		t.Fatal(err)
	}
	seedOnce(t, folder)
	equal(t, laptop, pod)
	if left, _ := filepath.Glob(filepath.Join(pod, tempPrefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// cutter ends the connection after some bytes.
type cutter struct {
	net.Conn
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

func TestBrokenOffSeedIsResumed(t *testing.T) {
	laptop, pod, trash := dirs(t)
	if err := tree.Generate(laptop, tree.Spec{Files: 300, MaxSize: 64 << 10, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), far) }()
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	if _, err := Send(t.Context(), &cutter{near, 2 << 20}, []Folder{folder}, nil); err == nil {
		t.Fatal("the cut was not noticed")
	}
	if err := <-served; err == nil {
		t.Error("the pod's end did not notice the cut")
	}
	half, err := tree.List(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range half {
		if name := filepath.Base(item.Path); isTemporary(name) && name != seeded.Name {
			t.Errorf("%s was left behind", item.Path)
		}
	}
	result := seedOnce(t, folder)[0]
	if result.Unchanged == 0 || result.Files == 0 {
		t.Errorf("not resumed: %+v after %d items", result.Outcome, len(half))
	}
	equal(t, laptop, pod)
}

func TestNamesThatLeaveTheRootAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "/etc/passwd", "a/../../x", ".", "a//b", "a/", ""} {
		if err := (entry{Path: name, Kind: kindFile}).valid(); err == nil {
			t.Errorf("%q was allowed", name)
		}
	}
}

func TestLinkInThePodIsNotFollowed(t *testing.T) {
	laptop, pod, trash := dirs(t)
	outside := t.TempDir()
	put(t, filepath.Join(laptop, "dir/file"), "x")
	if err := errors.Join(os.Mkdir(pod, 0o755), os.Symlink(outside, filepath.Join(pod, "dir"))); err != nil {
		t.Fatal(err)
	}
	seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash})
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("%v was written outside the root", left)
	}
	equal(t, laptop, pod)
}

func TestFailureNamesTheFileAndTheRestGoesOn(t *testing.T) {
	if os.Getuid() == 0 { // who may write everywhere
		asNobody(t)
		return
	}
	laptop, pod, trash := dirs(t)
	put(t, filepath.Join(laptop, "locked/file"), "x")
	put(t, filepath.Join(laptop, "free"), "x")
	if err := errors.Join(os.MkdirAll(filepath.Join(pod, "locked"), 0o755), os.Chmod(filepath.Join(pod, "locked"), 0o555)); err != nil {
		t.Fatal(err)
	}
	result := seedOnce(t, Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash})[0]
	if len(result.Failed) != 1 || result.Failed[0].Path != "locked/file" || result.Files != 1 {
		t.Errorf("failed: %v, files: %d", result.Failed, result.Files)
	}
}

// asNobody runs the test in a process without root's rights.
func asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "seed-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "seed.test")
	if err := errors.Join(os.WriteFile(path, program, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
}

func BenchmarkSeed(b *testing.B) {
	base := b.TempDir()
	laptop := filepath.Join(base, "laptop")
	if err := tree.Generate(laptop, tree.Spec{Files: 20_000, MaxSize: 4 << 10, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		pod := filepath.Join(base, fmt.Sprint("pod", i))
		if _, err := trySeed(context.Background(), Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestVerifyFindsEveryDifference(t *testing.T) {
	laptop, pod, trash := dirs(t)
	for _, name := range []string{"same", "content", "mode", "only laptop", "kind", "sub/x"} {
		put(t, filepath.Join(laptop, name), "content of "+name)
	}
	if err := os.Symlink("a", filepath.Join(laptop, "link")); err != nil {
		t.Fatal(err)
	}
	folder := Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash, Skip: func(path string) (bool, bool) {
		return path == "ignored", false
	}}
	seedOnce(t, folder)
	verify := func() map[string]string {
		near, far := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- Serve(t.Context(), far) }()
		found, err := Verify(t.Context(), near, []Folder{folder})
		if err := errors.Join(err, <-served); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, d := range found[0] {
			out[d.Path] = d.What
		}
		return out
	}
	if found := verify(); len(found) > 0 {
		t.Errorf("equal trees differ: %v", found)
	}
	info, err := os.Stat(filepath.Join(pod, "content"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(pod, "content"), "CONTENT of content")
	put(t, filepath.Join(pod, "only pod"), "x")
	put(t, filepath.Join(pod, "ignored"), "x")
	if err := errors.Join(
		os.Chtimes(filepath.Join(pod, "content"), info.ModTime(), info.ModTime()), // size and time are no proof
		os.Chmod(filepath.Join(pod, "mode"), 0o600),
		os.Remove(filepath.Join(pod, "only laptop")),
		os.Remove(filepath.Join(pod, "kind")),
		os.Mkdir(filepath.Join(pod, "kind"), 0o755),
		os.Remove(filepath.Join(pod, "link")),
		os.Symlink("b", filepath.Join(pod, "link")),
	); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"content": "content", "mode": "mode", "only laptop": onlyLaptop, "only pod": onlyPod, "kind": "kind", "link": "link target"}
	if got := verify(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
