// Package trash reads the trash of an end of the synchronization and puts back what
// is in it: the laptop's by itself, the pod's over a stream (Serve), by the same
// code there. The engine and the seed fill it, with the names of Syncthing's
// versions, each folder's files below the folder's id.
package trash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Item is a version of a file that the other end's change replaced or deleted, or
// that the first synchronization set aside.
type Item struct {
	// Folder is the folder's id; Path is relative to its root.
	Folder string    `json:"folder"`
	Path   string    `json:"path"`
	Time   time.Time `json:"time"` // when it was replaced or deleted
	Size   int64     `json:"size"`

	file string // in the trash; empty in one that came over a stream
}

// versionTag is in the names of the trash, before the extension
// (https://docs.syncthing.net/users/versioning.html).
var versionTag = regexp.MustCompile(`^(.*)~(\d{8}-\d{6})(\.[^.]*)?$`)

const versionTime = "20060102-150405"

// List reads a trash, newest first. One that is not there is empty.
func List(root string) ([]Item, error) {
	var out []Item
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		folder, name, ok := strings.Cut(rel, string(filepath.Separator))
		match := versionTag.FindStringSubmatch(name)
		info, infoErr := d.Info()
		if !ok || match == nil || infoErr != nil {
			return nil
		}
		at, err := time.ParseInLocation(versionTime, match[2], time.Local)
		if err == nil {
			out = append(out, Item{Folder: folder, Path: match[1] + match[3], Time: at, Size: info.Size(), file: path})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list trash: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Item) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return out, nil
}

// ErrAbsent is returned when nothing of that name was replaced or deleted.
var ErrAbsent = errors.New("not in the trash")

// Restore puts the newest trashed version of a file back, or the newest that is
// not after at, if that is not zero; of a directory, every file below it that is
// missing now. A path is one on this machine, or relative to a folder's root, as
// Item has it; roots are the folders' local paths by id. What is there now goes
// to the trash. It returns where the files are, those too that are back when
// another one fails.
func Restore(trash string, roots map[string]string, path string, at time.Time) ([]string, error) {
	items, err := List(trash)
	if err != nil {
		return nil, err
	}
	onDisk, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", path, err)
	}
	inFolder := filepath.Clean(path)
	items = slices.DeleteFunc(items, func(item Item) bool {
		_, known := roots[item.Folder]
		return !known || (!at.IsZero() && item.Time.After(at))
	})
	for _, item := range items {
		target := filepath.Join(roots[item.Folder], item.Path)
		if target == onDisk || item.Path == inFolder {
			return []string{target}, restore(trash, item, target)
		}
	}
	var restored []string
	for _, item := range items {
		target := filepath.Join(roots[item.Folder], item.Path)
		if !below(target, onDisk) && !below(item.Path, inFolder) {
			continue
		}
		// Versions come newest first: an older one finds the file there already.
		if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := restore(trash, item, target); err != nil {
			return restored, err
		}
		restored = append(restored, target)
	}
	if restored == nil {
		return nil, fmt.Errorf("restore %s: %w", path, ErrAbsent)
	}
	return restored, nil
}

func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

func restore(trash string, item Item, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	// The copy has a name that is never synchronized, until it is whole.
	temp := filepath.Join(filepath.Dir(target), ".syncthing.okteto-restore.tmp")
	if err := copyFile(item.file, temp); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), removeIfThere(temp))
	}
	if info, err := os.Lstat(target); err == nil {
		if info.IsDir() {
			return errors.Join(fmt.Errorf("restore %s: a folder is there now", target), removeIfThere(temp))
		}
		if err := copyFile(target, freeVersion(filepath.Join(trash, item.Folder), item.Path)); err != nil {
			return errors.Join(fmt.Errorf("restore: keep what is there now: %w", err), removeIfThere(temp))
		}
	}
	if err := os.Rename(temp, target); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), removeIfThere(temp))
	}
	return nil
}

// freeVersion is a name in the trash that is not taken: times are in seconds.
func freeVersion(dir, name string) string {
	ext := filepath.Ext(name)
	for at := time.Now(); ; at = at.Add(time.Second) {
		path := filepath.Join(dir, strings.TrimSuffix(name, ext)+"~"+at.Format(versionTime)+ext)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// copyFile copies a file or a link, as a new change: its time is now, so that it wins.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return errors.Join(removeIfThere(to), os.Symlink(target, to))
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode().Perm())
}
