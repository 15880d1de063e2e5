//go:build linux

package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// saver is a way that programs save a file as a whole.
type saver struct {
	name string
	save func(path, content string) error
}

func writeIn(path, content string, flag, chunk int, pause time.Duration) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := file.WriteString(content[:n]); err != nil {
			return err
		}
		content = content[n:]
		time.Sleep(pause)
	}
	return nil
}

// savers are the strategies of shells, editors and git.
var savers = []saver{
	{"truncate and write", func(path, content string) error {
		return writeIn(path, content, os.O_TRUNC, 1<<20, 0)
	}},
	{"truncate, pause, write in chunks", func(path, content string) error {
		return writeIn(path, content, os.O_TRUNC, 1500, 8*time.Millisecond)
	}},
	{"VS Code: write in place, then truncate", func(path, content string) error {
		if err := writeIn(path, content, 0, 4096, time.Millisecond); err != nil {
			return err
		}
		return os.Truncate(path, int64(len(content)))
	}},
	{"vim: rename away, write anew, fsync", func(path, content string) error {
		if err := os.Rename(path, path+"~"); err != nil {
			return err
		}
		if err := writeIn(path, content, os.O_EXCL, 4096, time.Millisecond); err != nil {
			return err
		}
		return os.Remove(path + "~")
	}},
	{"JetBrains: two temporary names", func(path, content string) error {
		if err := writeIn(path+"___jb_tmp___", content, os.O_EXCL, 4096, 0); err != nil {
			return err
		}
		if err := os.Rename(path, path+"___jb_old___"); err != nil {
			return err
		}
		if err := os.Rename(path+"___jb_tmp___", path); err != nil {
			return err
		}
		return os.Remove(path + "___jb_old___")
	}},
	{"sed -i and git: write beside, rename over", func(path, content string) error {
		temp := filepath.Join(filepath.Dir(path), "sedXyZ123")
		if err := writeIn(temp, content, os.O_EXCL, 4096, 0); err != nil {
			return err
		}
		return os.Rename(temp, path)
	}},
	{"remove, then write", func(path, content string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return writeIn(path, content, os.O_EXCL, 4096, time.Millisecond)
	}},
}

// reader looks at a file like a process in the pod does: whenever it changes.
type reader struct {
	path string
	stop context.CancelFunc
	done chan struct{}
	mu   sync.Mutex
	seen []string // contents, without repetitions; protected by mu
	// appeared counts how often the name was given to a file (IN_MOVED_TO,
	// IN_CREATE); protected by mu.
	appeared int
}

func startReader(t *testing.T, path string) *reader {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{path: path, stop: cancel, done: make(chan struct{})}
	events := os.NewFile(uintptr(fd), "inotify")
	context.AfterFunc(ctx, func() { events.Close() })
	go func() {
		defer close(r.done)
		buffer := make([]byte, 64<<10)
		for {
			n, err := events.Read(buffer)
			if err != nil {
				return
			}
			r.look(string(buffer[:n]))
		}
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *reader) look(events string) {
	content, err := os.ReadFile(r.path)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && (len(r.seen) == 0 || r.seen[len(r.seen)-1] != string(content)) {
		r.seen = append(r.seen, string(content))
	}
	name := filepath.Base(r.path) + "\x00"
	for rest := events; ; {
		i := strings.Index(rest, name)
		if i < 0 {
			return
		}
		if i == 0 || rest[i-1] == 0 || rest[i-1] < ' ' {
			r.appeared++
		}
		rest = rest[i+len(name):]
	}
}

func TestNoHalfWrittenSaveIsSeen(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "dir/file.txt", "first")
	p.startBoth()
	for _, s := range savers {
		t.Run(s.name, func(t *testing.T) {
			for _, ends := range [][2]*end{{p.near, p.far}, {p.far, p.near}} {
				from, to := ends[0], ends[1]
				from.write(t, "dir/file.txt", "before "+s.name)
				eventually(t, "start", func() bool { return to.has("dir/file.txt", "before "+s.name) })
				r := startReader(t, to.path("dir/file.txt"))
				whole := map[string]bool{"before " + s.name: true}
				for i := range 8 {
					content := fmt.Sprintf("%s %d %s", s.name, i, strings.Repeat("0123456789", 1000))
					whole[content] = true
					if err := s.save(from.path("dir/file.txt"), content); err != nil {
						t.Fatal(err)
					}
					eventually(t, "save", func() bool { return to.has("dir/file.txt", content) })
				}
				r.stop()
				<-r.done
				for _, content := range r.seen {
					if !whole[content] {
						t.Errorf("a reader saw %d bytes: %.40q", len(content), content)
					}
				}
			}
		})
	}
}

func TestHalfWrittenFileInNewFolderIsNotSeen(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	for i := range 5 {
		dir := fmt.Sprintf("new%d/deep", i)
		if err := os.MkdirAll(p.near.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		content := strings.Repeat("x", 40_000)
		done := make(chan error, 1)
		go func() { done <- writeIn(p.near.path(dir+"/file"), content, os.O_EXCL, 4000, 5*time.Millisecond) }()
		for writing := true; writing; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				writing = false
			case <-time.After(time.Millisecond):
				if got, err := os.ReadFile(p.far.path(dir + "/file")); err == nil && string(got) != content {
					t.Fatalf("the pod has %d of %d bytes", len(got), len(content))
				}
			}
		}
		eventually(t, "file in a new folder", func() bool { return p.far.has(dir+"/file", content) })
	}
}

// A file that stays open, as logs do, arrives all the same.
func TestOpenFileArrives(t *testing.T) {
	p := newPair(t, nil)
	p.startBoth()
	file, err := os.Create(p.near.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text := ""
	for i := range 3 {
		line := fmt.Sprintf("line %d\n", i)
		text += line
		if _, err := file.WriteString(line); err != nil {
			t.Fatal(err)
		}
		eventually(t, "line of an open file", func() bool { return p.far.has("log", text) })
	}
}

// One save is one change for who watches the file, as hot reload does.
func TestOneSaveIsOneChange(t *testing.T) {
	p := newPair(t, nil)
	p.near.write(t, "app.js", "0")
	p.startBoth()
	eventually(t, "start", func() bool { return p.far.has("app.js", "0") })
	r := startReader(t, p.far.path("app.js"))
	for i := 1; i <= 10; i++ {
		content := fmt.Sprint(i)
		p.near.write(t, "app.js", content)
		eventually(t, "save", func() bool { return p.far.has("app.js", content) })
	}
	p.settled()
	r.stop()
	<-r.done
	if r.appeared != 10 {
		t.Errorf("%d changes for 10 saves", r.appeared)
	}
}
