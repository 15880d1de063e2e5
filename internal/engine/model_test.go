package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"okteto/internal/testkit/proxy"
	"okteto/internal/testkit/tree"
)

// The model: whatever users do on both sides, and whatever breaks meanwhile, in
// the end both trees are equal, and every content that a user wrote, and that no
// user destroyed knowingly, is found as a file, as a conflict copy or in a trash.

// contents counts what users wrote and destroyed, by sum.
type contents struct {
	written   map[string]string // sum → what it was
	destroyed map[string]bool
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// user works on one side.
type user struct {
	t      *testing.T
	name   string
	root   string
	aside  string // on the same file system, outside of the root
	random *rand.Rand
	known  *contents
	count  int
}

func (u *user) path() string {
	depth := u.random.IntN(3)
	parts := []string{}
	for range depth {
		parts = append(parts, fmt.Sprintf("d%d", u.random.IntN(3)))
	}
	return filepath.Join(u.root, filepath.Join(parts...), fmt.Sprintf("f%d.txt", u.random.IntN(6)))
}

func (u *user) dir() string {
	return filepath.Join(u.root, fmt.Sprintf("d%d", u.random.IntN(3)), fmt.Sprintf("d%d", u.random.IntN(3)))
}

func (u *user) content() []byte {
	u.count++
	size := []int{1, 10, 5000, 300_000}[u.random.IntN(4)]
	return []byte(fmt.Sprintf("%s %d %s", u.name, u.count, strings.Repeat("x", size)))
}

func (u *user) wrote(what string, content []byte) { u.known.written[sumOf(content)] = what }

func (u *user) destroyed(content []byte) { u.known.destroyed[sumOf(content)] = true }

// destroyBelow notes all that a path held; the path is out of the engine's
// reach by now.
func (u *user) destroyBelow(path string) {
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if content, err := os.ReadFile(p); err == nil {
				u.destroyed(content)
			}
		}
		return nil
	})
	_ = os.RemoveAll(path)
}

// step does one thing. Errors are part of life: a name may just have gone.
func (u *user) step() string {
	switch u.random.IntN(12) {
	case 0, 1, 2:
		return u.save()
	case 3:
		return u.saveAtomically()
	case 4:
		return u.appendTo()
	case 5:
		a, b := u.path(), u.path()
		return fmt.Sprint("rename ", u.rel(a), " ", u.rel(b), " ", u.move(a, b))
	case 6, 7:
		return u.remove(u.path())
	case 8:
		dir := u.dir()
		return fmt.Sprint("mkdir ", u.rel(dir), " ", os.MkdirAll(dir, 0o755))
	case 9:
		if u.random.IntN(4) == 0 {
			return u.remove(u.dir())
		}
		a, b := u.dir(), u.dir()
		return fmt.Sprint("rename ", u.rel(a), " ", u.rel(b), " ", u.move(a, b))
	case 10:
		path := u.path()
		mode := []fs.FileMode{0o644, 0o755, 0o600}[u.random.IntN(3)]
		return fmt.Sprint("chmod ", u.rel(path), " ", os.Chmod(path, mode))
	}
	path := u.path()
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	if u.random.IntN(2) == 0 {
		return fmt.Sprint("link ", u.rel(path), " ", os.Symlink("target"+strconv.Itoa(u.random.IntN(3)), path))
	}
	upper := filepath.Join(filepath.Dir(path), strings.ToUpper(filepath.Base(path)))
	return fmt.Sprint("change case ", u.rel(path), " ", u.move(path, upper))
}

func (u *user) rel(path string) string {
	rel, _ := filepath.Rel(u.root, path)
	return rel
}

// save overwrites in place, as many editors do.
func (u *user) save() string {
	path, content := u.path(), u.content()
	what := fmt.Sprintf("save %s %s", u.rel(path), sumOf(content))
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return what + ": " + err.Error()
	}
	defer file.Close()
	old, err := io.ReadAll(file)
	if err != nil {
		return what + ": " + err.Error()
	}
	if len(old) > 0 {
		u.destroyed(old)
	}
	_, err = file.WriteAt(content, 0)
	err = errors.Join(err, file.Truncate(int64(len(content))))
	if err == nil && u.still(file, path) {
		u.wrote(u.name+" "+what, content)
	}
	return what
}

// still reports whether the name is still the open file's: if the engine has
// just put another one in its place, the save went nowhere, as it would on a
// disk without synchronization between two programs.
func (u *user) still(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

func (u *user) saveAtomically() string {
	path, content := u.path(), u.content()
	what := fmt.Sprintf("save atomically %s %s", u.rel(path), sumOf(content))
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	temp := filepath.Join(u.aside, "new")
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return what + ": " + err.Error()
	}
	// Exchanged, so that what was there can be seen.
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	}
	if err == nil {
		u.wrote(u.name+" "+what, content)
	}
	u.destroyBelow(temp)
	return what
}

func (u *user) appendTo() string {
	path := u.path()
	what := "append " + u.rel(path)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return what + ": " + err.Error()
	}
	defer file.Close()
	old, err := io.ReadAll(file)
	if err != nil {
		return what + ": " + err.Error()
	}
	more := u.content()
	if _, err := file.Write(more); err != nil {
		return what + ": " + err.Error()
	}
	u.destroyed(old)
	if u.still(file, path) {
		u.wrote(u.name+" "+what, append(old, more...))
	}
	return what
}

func (u *user) move(from, to string) error {
	_ = os.MkdirAll(filepath.Dir(to), 0o755)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err != nil {
		return err
	}
	return nil
}

func (u *user) remove(path string) string {
	gone := filepath.Join(u.aside, "gone")
	err := os.Rename(path, gone)
	if err == nil {
		u.destroyBelow(gone)
	}
	return fmt.Sprint("remove ", u.rel(path), " ", err)
}

// world is two ends, two users and the line between them.
type world struct {
	*pair
	link  *proxy.Proxy
	users []*user
	known *contents
	log   []string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{known: &contents{written: map[string]string{}, destroyed: map[string]bool{}}}
	w.pair = newPair(t, func(near bool, c *Config) {
		c.Folders[0].MaxConflicts = -1
		if near {
			c.Peers[0].Address = w.link.Addr()
		}
	})
	w.start(false)
	var err error
	if w.link, err = proxy.New(w.farAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.link.Close)
	w.start(true)
	for i, e := range []*end{w.near, w.far} {
		u := &user{t: t, name: []string{"near", "far"}[i], root: e.dir, aside: e.home + ".aside", random: rand.New(rand.NewPCG(seed, uint64(i))), known: w.known}
		if err := os.MkdirAll(u.aside, 0o755); err != nil {
			t.Fatal(err)
		}
		w.users = append(w.users, u)
	}
	return w
}

// fault breaks something, briefly or until healed.
func (w *world) fault(random *rand.Rand) string {
	near := random.IntN(2) == 0
	e := w.far
	if near {
		e = w.near
	}
	switch random.IntN(5) {
	case 0:
		w.link.Cut()
		return "cut"
	case 1:
		w.link.Stall(true)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		w.link.Stall(false)
		return "stall"
	case 2:
		w.link.Refuse(true)
		w.link.Cut()
		return "line down"
	case 3:
		w.link.Refuse(false)
		return "line up"
	}
	e.stop()
	lost := random.IntN(3) == 0
	if lost {
		if err := ResetDatabase(e.home); err != nil {
			w.t.Fatal(err)
		}
	}
	w.users[random.IntN(2)].step() // something happens while it is away
	w.start(near)
	return fmt.Sprintf("restart near=%v lost=%v", near, lost)
}

// TestModel runs random histories; a failure names its seed, and
// OKTETO_TEST_SEED=n repeats it. OKTETO_TEST_FULL=1 runs for long.
func TestModel(t *testing.T) {
	seeds, steps := 2, 150
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		seeds, steps = 25, 2000
	}
	first := uint64(1)
	if text := os.Getenv("OKTETO_TEST_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		seeds = 1
	}
	for i := range seeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runModel(t, seed, steps) })
	}
}

func runModel(t *testing.T, seed uint64, steps int) {
	random := rand.New(rand.NewPCG(seed, 99))
	w := newWorld(t, seed)
	for i := range steps {
		if random.IntN(25) == 0 {
			w.log = append(w.log, fmt.Sprint(i, " FAULT ", w.fault(random)))
		} else {
			u := w.users[random.IntN(2)]
			w.log = append(w.log, fmt.Sprint(i, " ", u.name, " ", u.step()))
		}
		if random.IntN(3) > 0 {
			time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
		}
	}
	w.link.Refuse(false)
	w.converge()
	w.nothingLost()
	if t.Failed() {
		t.Logf("history:\n%s", strings.Join(w.log, "\n"))
	}
}

// converge waits until both trees are equal and both ends say so.
func (w *world) converge() {
	w.t.Helper()
	var diff []string
	deadline := time.Now().Add(2 * patience)
	for time.Now().Before(deadline) {
		quiet := true
		for _, e := range []*end{w.near, w.far} {
			if err := e.Flush(w.t.(*testing.T).Context(), ""); err != nil {
				quiet = false
			}
			s := e.Status()
			quiet = quiet && s.Connected && s.Folders[0].Here.Done() && s.Folders[0].There.Done() && s.Folders[0].State == "idle"
		}
		var err error
		if diff, err = tree.Compare(w.near.dir, w.far.dir); err == nil && quiet && len(diff) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	near, far := w.near.Status().Folders[0], w.far.Status().Folders[0]
	w.t.Errorf("the trees do not become equal: %v\nnear: %+v\nfar:  %+v", diff, near, far)
}

func (w *world) nothingLost() {
	w.t.Helper()
	found := map[string]bool{}
	for _, root := range []string{w.near.dir, w.far.dir, filepath.Join(w.near.home, "trash"), filepath.Join(w.far.home, "trash")} {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if content, err := os.ReadFile(path); err == nil {
					found[sumOf(content)] = true
				}
			}
			return nil
		})
	}
	for sum, what := range w.known.written {
		if !w.known.destroyed[sum] && !found[sum] {
			w.t.Errorf("lost: %s (%s)", what, sum)
		}
	}
}
