//go:build linux

// Package users simulates people who work on the same files from two sides, and
// knows what may never be lost: every content that somebody wrote, and that
// nobody destroyed knowingly.
package users

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
	"time"

	"golang.org/x/sys/unix"
)

// Contents counts what users wrote and destroyed, by sum.
type Contents struct {
	written   map[string]string // sum → what it was
	destroyed map[string]bool
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// User works on one side.
type User struct {
	name   string
	root   string
	aside  string // on the same file system, outside of the root
	random *rand.Rand
	known  *Contents
	count  int
}

func (u *User) path() string {
	depth := u.random.IntN(3)
	parts := []string{}
	for range depth {
		parts = append(parts, fmt.Sprintf("d%d", u.random.IntN(3)))
	}
	return filepath.Join(u.root, filepath.Join(parts...), fmt.Sprintf("f%d.txt", u.random.IntN(6)))
}

func (u *User) dir() string {
	return filepath.Join(u.root, fmt.Sprintf("d%d", u.random.IntN(3)), fmt.Sprintf("d%d", u.random.IntN(3)))
}

func (u *User) content() []byte {
	u.count++
	size := []int{1, 10, 5000, 300_000}[u.random.IntN(4)]
	return []byte(fmt.Sprintf("%s %d %s", u.name, u.count, strings.Repeat("x", size)))
}

func (u *User) wrote(what string, content []byte) { u.known.written[sumOf(content)] = what }

func (u *User) destroyed(content []byte) { u.known.destroyed[sumOf(content)] = true }

// destroyBelow notes all that a path held; the path is out of the engine's
// reach by now.
func (u *User) destroyBelow(path string) {
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

// Step does one thing and says what. Errors are part of life: a name may just have gone.
func (u *User) Step() string {
	switch u.random.IntN(13) {
	case 0, 1:
		return u.save()
	case 2:
		return u.saveInPieces()
	case 12:
		return u.replaceKind()
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

func (u *User) rel(path string) string {
	rel, _ := filepath.Rel(u.root, path)
	return rel
}

// save overwrites in place, as many editors do.
func (u *User) save() string {
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
func (u *User) still(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// saveInPieces truncates, and writes the new content bit by bit.
func (u *User) saveInPieces() string {
	path, content := u.path(), u.content()
	what := fmt.Sprintf("save in pieces %s %s", u.rel(path), sumOf(content))
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
	if err := file.Truncate(0); err != nil {
		return what + ": " + err.Error()
	}
	for at, piece := 0, len(content)/3+1; at < len(content); at += piece {
		if _, err := file.WriteAt(content[at:min(at+piece, len(content))], int64(at)); err != nil {
			return what + ": " + err.Error()
		}
		time.Sleep(time.Duration(u.random.IntN(4)) * time.Millisecond)
	}
	if u.still(file, path) {
		u.wrote(u.name+" "+what, content)
	}
	return what
}

// replaceKind puts a directory in the place of a file, or a file in that of a
// directory.
func (u *User) replaceKind() string {
	path := u.path()
	if u.random.IntN(2) == 0 {
		what := u.remove(path)
		return fmt.Sprint(what, ", then mkdir ", os.Mkdir(path, 0o755))
	}
	dir, content := u.dir(), u.content()
	what := u.remove(dir)
	file, err := os.OpenFile(dir, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Sprint(what, ", then save: ", err)
	}
	defer file.Close()
	what += ", then save in its place " + sumOf(content)
	if _, err := file.Write(content); err == nil && u.still(file, dir) {
		u.wrote(u.name+" "+what, content)
	}
	return what
}

func (u *User) saveAtomically() string {
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

func (u *User) appendTo() string {
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
	u.destroyed(old) // a failed write leaves something else, too
	if _, err := file.Write(more); err != nil {
		return what + ": " + err.Error()
	}
	if u.still(file, path) {
		u.wrote(u.name+" "+what, append(old, more...))
	}
	return what
}

func (u *User) move(from, to string) error {
	_ = os.MkdirAll(filepath.Dir(to), 0o755)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err != nil {
		return err
	}
	return nil
}

func (u *User) remove(path string) string {
	gone := filepath.Join(u.aside, "gone")
	err := os.Rename(path, gone)
	if err == nil {
		u.destroyBelow(gone)
	}
	return fmt.Sprint("remove ", u.rel(path), " ", err)
}

// NewContents knows of nothing yet.
func NewContents() *Contents {
	return &Contents{written: map[string]string{}, destroyed: map[string]bool{}}
}

// New user of the folder root. aside is a folder on the same file system that is
// not synchronized; seed makes the same user again.
func New(name, root, aside string, seed uint64, known *Contents) (*User, error) {
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return nil, fmt.Errorf("make user: %w", err)
	}
	var side uint64
	for _, b := range []byte(name) {
		side = side*31 + uint64(b)
	}
	return &User{name: name, root: root, aside: aside, random: rand.New(rand.NewPCG(seed, side)), known: known}, nil
}

// Name of the user.
func (u *User) Name() string { return u.name }

// DestroyedWith notes that a disaster took all that is in none of the folders.
func (c *Contents) DestroyedWith(roots ...string) {
	found := contents(roots)
	for sum := range c.written {
		if !found[sum] {
			c.destroyed[sum] = true
		}
	}
}

// Lost are the contents that were written, not destroyed, and are in none of
// the folders.
func (c *Contents) Lost(roots ...string) []string {
	found := contents(roots)
	var lost []string
	for sum, what := range c.written {
		if !c.destroyed[sum] && !found[sum] {
			lost = append(lost, what)
		}
	}
	return lost
}

// contents are the sums of all files in folders, without transfers under way.
func contents(roots []string) map[string]bool {
	found := map[string]bool{}
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".syncthing.") {
				if content, err := os.ReadFile(path); err == nil {
					found[sumOf(content)] = true
				}
			}
			return nil
		})
	}
	return found
}
