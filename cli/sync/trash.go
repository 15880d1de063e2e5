package sync

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

// Trashed is a file that a change from the container replaced or deleted.
type Trashed struct {
	// Folder is the folder's id; Path is relative to its root.
	Folder string    `json:"folder"`
	Path   string    `json:"path"`
	Time   time.Time `json:"time"` // when it was replaced or deleted
	Size   int64     `json:"size"`

	file string // in the trash
}

// versionTag is in the names of the trash, before the extension
// (https://docs.syncthing.net/users/versioning.html).
var versionTag = regexp.MustCompile(`^(.*)~(\d{8}-\d{6})(\.[^.]*)?$`)

const versionTime = "20060102-150405"

// ListTrash reads the laptop's trash of an environment, newest first. No daemon
// is needed.
func ListTrash(home string) ([]Trashed, error) {
	root := filepath.Join(home, trashDir)
	var out []Trashed
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
			out = append(out, Trashed{Folder: folder, Path: match[1] + match[3], Time: at, Size: info.Size(), file: path})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list trash: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Trashed) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return out, nil
}

// ErrNotInTrash is returned when nothing of that name was replaced or deleted.
var ErrNotInTrash = errors.New("not in the trash")

// Restore puts the newest trashed version of a file back, or the newest that is
// not after at, if that is not zero; of a directory, every file below it that is
// missing now. A path is one on this machine, or relative to a folder's root, as
// Trashed has it; roots are the folders' local paths by id. What is there now goes
// to the trash. It returns where the files are, those too that are back when
// another one fails.
func Restore(home string, roots map[string]string, path string, at time.Time) ([]string, error) {
	items, err := ListTrash(home)
	if err != nil {
		return nil, err
	}
	onDisk, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", path, err)
	}
	inFolder := filepath.Clean(path)
	items = slices.DeleteFunc(items, func(item Trashed) bool {
		_, known := roots[item.Folder]
		return !known || (!at.IsZero() && item.Time.After(at))
	})
	for _, item := range items {
		target := filepath.Join(roots[item.Folder], item.Path)
		if target == onDisk || item.Path == inFolder {
			return []string{target}, restore(home, item, target)
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
		if err := restore(home, item, target); err != nil {
			return restored, err
		}
		restored = append(restored, target)
	}
	if restored == nil {
		return nil, fmt.Errorf("restore %s: %w", path, ErrNotInTrash)
	}
	return restored, nil
}

func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

func restore(home string, item Trashed, target string) error {
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
		if err := copyFile(target, freeVersion(filepath.Join(home, trashDir, item.Folder), item.Path)); err != nil {
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

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	// A restored file is a new change: its time is now, so that it wins.
	return os.Chmod(to, info.Mode().Perm())
}
