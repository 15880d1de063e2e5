package trash

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(text)
}

func TestRestoresWhatIsMissingOfADirectory(t *testing.T) {
	dir, root := t.TempDir(), t.TempDir()
	versions := filepath.Join(dir, "okteto-1")
	write(t, filepath.Join(versions, "dir/kept~20261101-100000.txt"), "replaced")
	write(t, filepath.Join(versions, "dir/gone~20261101-100000.txt"), "older")
	write(t, filepath.Join(versions, "dir/gone~20261101-110000.txt"), "newer")
	write(t, filepath.Join(versions, "dir/sub/gone~20261101-100000"), "deep")
	write(t, filepath.Join(versions, "dirt~20261101-100000"), "another")
	write(t, filepath.Join(root, "dir/kept.txt"), "is there")
	roots := map[string]string{"okteto-1": root}
	restored, err := Restore(dir, roots, filepath.Join(root, "dir")+"/", time.Time{})
	if err != nil || len(restored) != 2 {
		t.Fatalf("restored %v, %v", restored, err)
	}
	for name, want := range map[string]string{"dir/kept.txt": "is there", "dir/gone.txt": "newer", "dir/sub/gone": "deep"} {
		if got := content(filepath.Join(root, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "dirt")); err == nil {
		t.Error("a file of another name was restored")
	}
	if _, err := Restore(dir, roots, "dir", time.Time{}); !errors.Is(err, ErrAbsent) {
		t.Errorf("nothing is missing any more: %v", err)
	}
}

func TestRestoresALinkAsALink(t *testing.T) {
	dir, root := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "okteto-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "okteto-1", "link~20261101-100000")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(dir, map[string]string{"okteto-1": root}, "link", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(root, "link")); target != "nowhere" || err != nil {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	kept, err := List(dir)
	if err != nil || len(kept) != 2 {
		t.Fatalf("trash: %v, %v", kept, err)
	}
	if target, err := os.Readlink(kept[0].file); target != "elsewhere" || err != nil {
		t.Errorf("kept of what was there: %q, %v", target, err)
	}
}

// over runs talk with one end of a stream that Serve has the other of.
func over(t *testing.T, talk func(net.Conn)) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), far) }()
	talk(near)
	near.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestRemote(t *testing.T) {
	dir, root := t.TempDir(), t.TempDir()
	odd := "not UTF-8 \xff"
	write(t, filepath.Join(dir, "okteto-1/sub/file~20261101-100000.txt"), "old")
	write(t, filepath.Join(dir, "okteto-1", odd+"~20261101-110000"), "odd")
	write(t, filepath.Join(root, "sub/file.txt"), "new")
	remote := Remote{Dir: dir, Roots: map[string]string{"okteto-1": root}}
	over(t, func(conn net.Conn) {
		items, err := remote.List(conn)
		if err != nil || len(items) != 2 || items[0].Path != odd || items[1].Path != "sub/file.txt" || items[1].Size != 3 {
			t.Errorf("List = %v, %v", items, err)
		}
	})
	for path, want := range map[string]string{filepath.Join(root, "sub/file.txt"): "old", odd: "odd"} {
		over(t, func(conn net.Conn) {
			restored, err := remote.Restore(conn, path, time.Time{})
			if err != nil || len(restored) != 1 || content(restored[0]) != want {
				t.Errorf("Restore = %v, %v", restored, err)
			}
		})
	}
	over(t, func(conn net.Conn) {
		if _, err := remote.Restore(conn, "sub/file.txt", time.Unix(0, 0)); !errors.Is(err, ErrAbsent) {
			t.Errorf("before there was one: %v", err)
		}
	})
	if err := os.MkdirAll(filepath.Join(root, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "okteto-1/taken~20261101-100000"), "a file")
	over(t, func(conn net.Conn) {
		if _, err := remote.Restore(conn, "taken", time.Time{}); err == nil || errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "a folder is there now") {
			t.Errorf("in place of a folder: %v", err)
		}
	})
}

func TestServeRefusesWhatItDoesNotKnow(t *testing.T) {
	over(t, func(conn net.Conn) {
		if _, err := ask(conn, request{Op: "empty"}); err == nil || !strings.Contains(err.Error(), `"empty"`) {
			t.Errorf("an unknown operation: %v", err)
		}
	})
	if err := Serve(context.Background(), bytes.NewBufferString("no request")); err == nil {
		t.Error("what is no request is served")
	}
}
