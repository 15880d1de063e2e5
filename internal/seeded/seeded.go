// Package seeded is what a seed of a folder (package seed) tells the engine there: which
// items are as the laptop had them when it began. Such an item is older than whatever
// the laptop says of it, and no change of the pod's own.
package seeded

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Name of the list, in the folder's root. The engine takes it for a temporary file,
// which is never synchronized.
const Name = ".syncthing.okteto-seeded.tmp"

// Item is one that was written, or found to be as it is on the laptop.
type Item struct {
	Path string      `json:"path"` // relative, with forward slashes
	Mode fs.FileMode `json:"mode"` // with the type
	Size int64       `json:"size"` // of a file
	Time int64       `json:"time"` // of a file's change, nanoseconds since the epoch
}

// Write replaces a folder's list. The items are asked for one by one: there may be
// hundreds of thousands.
func Write(root string, items func(yield func(Item) bool)) (err error) {
	temp := filepath.Join(root, Name+".new.tmp")
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write list of seeded files: %w", err)
	}
	w := bufio.NewWriter(file)
	encoder := json.NewEncoder(w)
	for item := range items {
		if err = encoder.Encode(item); err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Flush(), file.Close()); err == nil {
		err = os.Rename(temp, filepath.Join(root, Name))
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write list of seeded files: %w", err)
	}
	return nil
}

// Exists reports whether a folder has a list.
func Exists(root string) bool {
	info, err := os.Lstat(filepath.Join(root, Name))
	return err == nil && info.Mode().IsRegular()
}

// Read calls f with each item of a folder's list, until it fails.
func Read(root string, f func(Item) error) error {
	file, err := os.Open(filepath.Join(root, Name))
	if err != nil {
		return fmt.Errorf("read list of seeded files: %w", err)
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReader(file))
	for {
		var item Item
		err := decoder.Decode(&item)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read list of seeded files: %w", err)
		}
		if err := f(item); err != nil {
			return err
		}
	}
}

// Remove a folder's list, which has been read.
func Remove(root string) error {
	if err := os.Remove(filepath.Join(root, Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove list of seeded files: %w", err)
	}
	return nil
}
