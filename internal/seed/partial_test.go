package seed

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"okteto/internal/seeded"
)

const largeSize = 32 << 20

// noise cannot be compressed: what crosses is what was sent.
func noise(t *testing.T, name string, size int) {
	t.Helper()
	content := make([]byte, size)
	_, _ = rand.Read(content)
	put(t, name, string(content))
}

// counter counts what was written and ends the connection after some bytes.
type counter struct {
	net.Conn
	written, limit int64 // no limit: 0
	silent         bool  // the other end does not learn of it
}

func (c *counter) Write(b []byte) (int, error) {
	if c.limit > 0 && c.written+int64(len(b)) > c.limit {
		if !c.silent {
			c.Close()
		}
		return 0, io.ErrClosedPipe
	}
	n, err := c.Conn.Write(b)
	c.written += int64(n)
	return n, err
}

// cutAfter seeds until limit bytes have crossed, or to the end with limit 0.
func cutAfter(t *testing.T, limit int64, folder Folder) (crossed int64, outcome Outcome) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		err := Serve(t.Context(), far)
		far.Close()
		served <- err
	}()
	conn := &counter{Conn: near, limit: limit}
	results, err := Send(t.Context(), conn, []Folder{folder}, nil)
	near.Close()
	if err := errors.Join(err, <-served); (err == nil) != (limit == 0) {
		t.Fatalf("cut after %d: %v", limit, err)
	}
	if limit > 0 {
		return conn.written, Outcome{}
	}
	if results[0].FailedCount > 0 || results[0].Changed > 0 {
		t.Errorf("outcome %+v", results[0].Outcome)
	}
	return conn.written, results[0].Outcome
}

// temporaries in the pod: partials, and whatever others.
func temporaries(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && isTemporary(d.Name()) && d.Name() != unfinished && d.Name() != seeded.Name {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func noTemporaries(t *testing.T, root string) {
	t.Helper()
	if left := temporaries(t, root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func atMost(t *testing.T, crossed int64, times float64) {
	t.Helper()
	if ratio := float64(crossed) / largeSize; ratio > times {
		t.Errorf("%.3f times the file crossed, want at most %.2f", ratio, times)
	} else {
		t.Logf("%.3f times the file crossed", ratio)
	}
}

func TestLargeFileIsContinued(t *testing.T) {
	for name, localWins := range map[string]bool{"new pod": false, "laptop wins": true} {
		t.Run(name, func(t *testing.T) {
			laptop, pod, trash := dirs(t)
			noise(t, filepath.Join(laptop, "sub/large.bin"), largeSize)
			put(t, filepath.Join(laptop, "sub/small"), "small")
			if localWins {
				put(t, filepath.Join(pod, "sub/large.bin"), "the pod's")
			}
			folder := Folder{LocalPath: laptop, RemotePath: pod, LocalWins: localWins, Trash: trash}
			first, _ := cutAfter(t, largeSize*3/10, folder)
			second, _ := cutAfter(t, largeSize*3/10, folder) // at 60 % of the file
			if found := temporaries(t, pod); len(found) != 1 {
				t.Errorf("after the second cut: %v", found)
			}
			third, outcome := cutAfter(t, 0, folder)
			atMost(t, first+second+third, 1.05)
			if outcome.Resumed < largeSize/2 || outcome.Resumed >= largeSize {
				t.Errorf("resumed %d of %d bytes", outcome.Resumed, largeSize)
			}
			equal(t, laptop, pod)
			noTemporaries(t, pod)
			if kept, _ := filepath.Glob(filepath.Join(trash, "sub/large~*.bin")); localWins != (len(kept) == 1) {
				t.Errorf("in the trash: %v", kept)
			}
		})
	}
}

// A file that changed between two seeds is never mixed, wherever it changed and
// whatever its time says.
func TestChangedFileIsNotMixed(t *testing.T) {
	for name, c := range map[string]struct {
		at    int64
		times float64 // of the file that may cross
	}{
		"at the start":        {100, 1.55},
		"in what has crossed": {largeSize / 4, 1.35},
		"in what has not":     {largeSize * 3 / 4, 1.05},
	} {
		t.Run(name, func(t *testing.T) {
			laptop, pod, trash := dirs(t)
			large := filepath.Join(laptop, "large")
			noise(t, large, largeSize)
			folder := Folder{LocalPath: laptop, RemotePath: pod, LocalWins: true, Trash: trash}
			first, _ := cutAfter(t, largeSize/2, folder)
			info, err := os.Stat(large)
			if err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(large, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt([]byte("changed meanwhile"), c.at)
			if err := errors.Join(err, file.Close(), os.Chtimes(large, info.ModTime(), info.ModTime())); err != nil {
				t.Fatal(err)
			}
			second, _ := cutAfter(t, 0, folder)
			atMost(t, first+second, c.times)
			equal(t, laptop, pod)
			noTemporaries(t, pod)
		})
	}
}

func TestFileOfAnotherSizeIsContinued(t *testing.T) {
	for name, size := range map[string]int64{"longer": largeSize + 1<<20, "shorter than what has come": largeSize / 4} {
		t.Run(name, func(t *testing.T) {
			laptop, pod, trash := dirs(t)
			large := filepath.Join(laptop, "large")
			noise(t, large, largeSize)
			folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
			first, _ := cutAfter(t, largeSize/2, folder)
			if err := os.Truncate(large, size); err != nil {
				t.Fatal(err)
			}
			second, outcome := cutAfter(t, 0, folder)
			if outcome.Resumed == 0 {
				t.Error("nothing was resumed")
			}
			atMost(t, first+second, 1.05)
			equal(t, laptop, pod)
			noTemporaries(t, pod)
		})
	}
}

// A machine that crashes may keep a file's length and lose its end.
func TestPartialThatLostItsEndIsRight(t *testing.T) {
	laptop, pod, trash := dirs(t)
	noise(t, filepath.Join(laptop, "large"), largeSize)
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	cutAfter(t, largeSize/2, folder)
	found := temporaries(t, pod)
	if len(found) != 1 {
		t.Fatalf("partials: %v", found)
	}
	size := sizeOf(found[0])
	if err := errors.Join(os.Truncate(found[0], size-3<<20), os.Truncate(found[0], size)); err != nil {
		t.Fatal(err)
	}
	crossed, outcome := cutAfter(t, 0, folder)
	atMost(t, crossed, 0.7)
	if outcome.Resumed > size-3<<20 || outcome.Resumed < size-5<<20 {
		t.Errorf("resumed %d of a partial of %d", outcome.Resumed, size)
	}
	equal(t, laptop, pod)
}

func TestSparsePartialStaysSparse(t *testing.T) {
	laptop, pod, trash := dirs(t)
	const size = 256 << 20
	large := filepath.Join(laptop, "large")
	noise(t, large, 8<<20)
	file, err := os.OpenFile(large, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := make([]byte, 8<<20)
	_, _ = rand.Read(end)
	_, err = file.WriteAt(end, size-16<<20) // and a hole at the end
	if err := errors.Join(err, file.Truncate(size), file.Close()); err != nil {
		t.Fatal(err)
	}
	folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
	cutAfter(t, 12<<20, folder)
	crossed, _ := cutAfter(t, 0, folder)
	if crossed > 6<<20 {
		t.Errorf("%d bytes crossed after the cut", crossed)
	}
	equal(t, laptop, pod)
	info, err := os.Stat(filepath.Join(pod, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > size/8 {
		t.Errorf("the file takes %d of %d bytes", used, size)
	}
}

// Nobody continues the partial of a file that is gone, or one that an older
// laptop, which cannot, makes anew.
func TestPartialsThatNobodyContinuesAreRemoved(t *testing.T) {
	t.Run("the file is gone", func(t *testing.T) {
		laptop, pod, trash := dirs(t)
		noise(t, filepath.Join(laptop, "large"), largeSize)
		folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
		cutAfter(t, largeSize/2, folder)
		if err := os.Remove(filepath.Join(laptop, "large")); err != nil {
			t.Fatal(err)
		}
		cutAfter(t, 0, folder)
		noTemporaries(t, pod)
	})
	t.Run("an end of before", func(t *testing.T) {
		laptop, pod, trash := dirs(t)
		noise(t, filepath.Join(laptop, "large"), largeSize)
		folder := Folder{LocalPath: laptop, RemotePath: pod, Trash: trash}
		cutAfter(t, largeSize/2, folder)
		near, far := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- serveBefore(t.Context(), far) }()
		results, err := Send(t.Context(), near, []Folder{folder}, nil)
		if err := errors.Join(err, <-served); err != nil {
			t.Fatal(err)
		}
		if o := results[0].Outcome; o.Files != 1 || o.Resumed != 0 || o.FailedCount > 0 {
			t.Errorf("outcome %+v", o)
		}
		equal(t, laptop, pod)
		noTemporaries(t, pod)
	})
}

// serveBefore knows the hello of before partials were continued.
func serveBefore(ctx context.Context, rw io.ReadWriter) error {
	s, err := newStream(rw)
	if err != nil {
		return err
	}
	defer s.close()
	var h struct {
		Version int
		Verify  bool
		Folders []folderSpec
	}
	if err := s.receive(&h); err != nil {
		return err
	}
	return (&receiver{stream: s, spec: h.Folders[0], token: rand.Text()}).run(ctx)
}
