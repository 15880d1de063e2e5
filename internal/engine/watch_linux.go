package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const watchMask = unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_CREATE | unix.IN_DELETE |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF |
	unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// inotify watches a tree, one watch for each directory (inotify(7)).
type inotify struct {
	fd     int
	file   *os.File
	root   string
	target watchTarget
	limit  int
	paths  map[int32]string // watch → directory, relative
	wds    map[string]int32
	failed error // the first limit that struck; the rest is still watched
	ready  watchReady
}

// watchTree is this system's watchSource.
func watchTree(ctx context.Context, root string, limit int, target watchTarget, ready watchReady) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.EMFILE) {
			return &limitError{kind: "instances", have: sysctl("max_user_instances"), fix: "sysctl fs.inotify.max_user_instances=1024"}
		}
		return fmt.Errorf("watch %s: %w", root, err)
	}
	w := &inotify{
		fd: fd, file: os.NewFile(uintptr(fd), "inotify"), root: root, target: target, limit: limit, ready: ready,
		paths: map[int32]string{}, wds: map[string]int32{},
	}
	defer w.file.Close()
	stop := context.AfterFunc(ctx, func() { w.file.Close() })
	defer stop()
	if err := w.add("."); err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	w.addBelow(".", false)
	// Even with a problem, what is watched is found at once.
	ready(len(w.paths), w.failed)
	return w.read(ctx)
}

func (w *inotify) explain(err error) error {
	var limit *limitError
	if errors.As(err, &limit) {
		return limit
	}
	have := sysctl("max_user_watches")
	return &limitError{kind: "watches", have: have, reached: len(w.paths), fix: fmt.Sprintf("sysctl fs.inotify.max_user_watches=%d", max(524288, 2*have))}
}

func sysctl(name string) int {
	content, err := os.ReadFile("/proc/sys/fs/inotify/" + name)
	if err != nil {
		return 0
	}
	value, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return value
}

// add watches one directory.
func (w *inotify) add(dir string) error {
	if w.limit > 0 && len(w.paths) >= w.limit {
		return &limitError{kind: "watches", have: w.limit, reached: len(w.paths), fix: "the limit is ours"}
	}
	wd, err := unix.InotifyAddWatch(w.fd, filepath.Join(w.root, dir), watchMask)
	if err != nil {
		return err
	}
	if old, ok := w.paths[int32(wd)]; ok && old != dir { // the directory was moved
		delete(w.wds, old)
	}
	w.paths[int32(wd)] = dir
	w.wds[dir] = int32(wd)
	return nil
}

// addBelow watches the directories below dir, and reports what it finds there
// if that is news. The watch comes before the look, so nothing falls between.
func (w *inotify) addBelow(dir string, news bool) {
	entries, err := os.ReadDir(filepath.Join(w.root, dir))
	if err != nil {
		return // gone again, or unreadable: the scan reports it
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if w.target.skip(path) {
			continue
		}
		if entry.IsDir() {
			if err := w.add(path); err != nil {
				if w.failed == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EACCES) {
					w.failed = w.explain(err)
				}
				continue
			}
			if news {
				w.target.seen(change{path, opNewDir})
			}
			w.addBelow(path, news)
			continue
		}
		if news {
			w.target.seen(change{path, w.found(path, entry.Type())})
		}
	}
}

// found tells what to make of a file that was there before its directory was
// watched.
func (w *inotify) found(path string, kind fs.FileMode) op {
	if kind.IsRegular() && openForWriting(filepath.Join(w.root, path)) {
		return opCreated
	}
	return opComplete
}

// forget removes the watches of a directory that has moved away.
func (w *inotify) forget(dir string) {
	prefix := dir + string(filepath.Separator)
	for path, wd := range w.wds {
		if path == dir || strings.HasPrefix(path, prefix) {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
			delete(w.wds, path)
			delete(w.paths, wd)
		}
	}
}

func (w *inotify) read(ctx context.Context) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buffer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read file events of %s: %w", w.root, err)
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[at]))
			end := at + unix.SizeofInotifyEvent + int(event.Len)
			name := strings.TrimRight(string(buffer[at+unix.SizeofInotifyEvent:end]), "\x00")
			w.handle(event.Wd, event.Mask, name)
			at = end
		}
	}
}

func (w *inotify) handle(wd int32, mask uint32, name string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		w.target.seen(change{".", opOverflow})
		w.addBelow(".", false)
		return
	}
	dir, ok := w.paths[wd]
	if !ok {
		return
	}
	if mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0 {
		w.handleSelf(wd, dir, mask)
		return
	}
	if name == "" { // the directory's own attributes; its parent reports them too
		return
	}
	path := filepath.Join(dir, name)
	if w.target.skip(path) {
		return
	}
	if mask&unix.IN_ISDIR != 0 {
		w.handleDir(path, mask)
		return
	}
	switch {
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		w.target.seen(change{path, opRemoved})
	case mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0:
		w.target.seen(change{path, opComplete})
	case mask&unix.IN_ATTRIB != 0:
		w.target.seen(change{path, opAttributes})
	case mask&unix.IN_MODIFY != 0:
		w.target.seen(change{path, opModified})
	case mask&unix.IN_CREATE != 0:
		w.target.seen(change{path, w.created(path)})
	}
}

// created tells a file that is being written from one that is complete, as
// links are.
func (w *inotify) created(path string) op {
	info, err := os.Lstat(filepath.Join(w.root, path))
	if err != nil || !info.Mode().IsRegular() {
		return opComplete
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return opComplete
	}
	return opCreated
}

func (w *inotify) handleDir(path string, mask uint32) {
	switch {
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		w.forget(path)
		w.target.seen(change{path, opRemoved})
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		if err := w.add(path); err != nil {
			if !errors.Is(err, fs.ErrNotExist) && w.failed == nil {
				w.failed = w.explain(err)
				w.ready(len(w.paths), w.failed)
				w.target.seen(change{path, opTree})
			}
			return
		}
		if mask&unix.IN_MOVED_TO != 0 {
			w.addBelow(path, false)
			w.target.seen(change{path, opTree})
			return
		}
		w.target.seen(change{path, opNewDir})
		w.addBelow(path, true)
	case mask&unix.IN_ATTRIB != 0:
		w.target.seen(change{path, opAttributes})
	}
}

func (w *inotify) handleSelf(wd int32, dir string, mask uint32) {
	if dir == "." {
		if mask&unix.IN_IGNORED == 0 {
			w.target.seen(change{".", opRootGone})
		}
		return
	}
	if mask&(unix.IN_IGNORED|unix.IN_UNMOUNT) != 0 {
		delete(w.paths, wd)
		if w.wds[dir] == wd {
			delete(w.wds, dir)
		}
	}
}

// openForWriting reports whether some process has a file open for writing: the
// kernel grants a read lease only if none has (fcntl(2), F_SETLEASE). It says
// no where it cannot know: leases need the owner's rights and a local file
// system.
func openForWriting(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
	return false
}
