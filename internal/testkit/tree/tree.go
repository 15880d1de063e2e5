// Package tree makes file trees for tests and compares them by content.
package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Spec of a tree to make.
type Spec struct {
	// Files in all; 20 to a folder, ten folders to a folder.
	Files int
	// MaxSize of a file; sizes are spread evenly from 1. Default 4 KiB.
	MaxSize int
	// Seed makes the same tree again.
	Seed uint64
}

// Generate makes a tree at root, which may exist.
func Generate(root string, s Spec) error {
	if s.MaxSize == 0 {
		s.MaxSize = 4 << 10
	}
	random := rand.New(rand.NewPCG(s.Seed, 0))
	content := make([]byte, s.MaxSize)
	for i := range s.Files {
		dir := filepath.Join(root, fmt.Sprintf("d%02d", i/200), fmt.Sprintf("e%d", i/20%10))
		if i%20 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make tree: %w", err)
			}
		}
		size := 1 + random.IntN(s.MaxSize)
		fill(random, content[:size])
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%06d.txt", i)), content[:size], 0o644); err != nil {
			return fmt.Errorf("make tree: %w", err)
		}
	}
	return nil
}

// fill with text that compresses about as source code does.
func fill(random *rand.Rand, b []byte) {
	const words = "func return if err != nil { } package import string int for range var := "
	for i := 0; i < len(b); {
		at := random.IntN(len(words) - 8)
		i += copy(b[i:], words[at:at+8])
		if i < len(b) {
			b[i] = byte('a' + random.IntN(26))
			i++
		}
	}
}

// Item of a tree.
type Item struct {
	Path string // relative, with forward slashes
	Kind string // file, dir, link, other
	Mode fs.FileMode
	Size int64
	// Sum is the SHA-256 of a file or the target of a link.
	Sum string
}

// Hidden names are the engine's own and not part of a tree.
var hidden = []string{".stfolder", ".stignore", ".stversions"}

// List reads a tree, sorted by path.
func List(root string) ([]Item, error) {
	var items []Item
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if slices.Contains(hidden, name) || temporary(d.Name()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		item, err := describe(path, name, d)
		if err == nil {
			items = append(items, item)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tree: %w", err)
	}
	return items, nil
}

// temporary names are of transfers that are under way or were broken off.
func temporary(name string) bool {
	return strings.HasPrefix(name, ".syncthing.")
}

func describe(path, name string, d fs.DirEntry) (Item, error) {
	info, err := d.Info()
	if err != nil {
		return Item{}, err
	}
	item := Item{Path: name, Mode: info.Mode().Perm(), Kind: "other"}
	switch {
	case info.IsDir():
		item.Kind = "dir"
	case info.Mode()&fs.ModeSymlink != 0:
		item.Kind, item.Mode = "link", 0
		item.Sum, err = os.Readlink(path)
	case info.Mode().IsRegular():
		item.Kind, item.Size = "file", info.Size()
		item.Sum, err = Sum(path)
	}
	return item, err
}

// Sum is the SHA-256 of a file, in hexadecimal.
func Sum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Compare returns the differences of two trees in words; none: they are equal.
func Compare(a, b string) ([]string, error) {
	left, err := List(a)
	if err != nil {
		return nil, err
	}
	right, err := List(b)
	if err != nil {
		return nil, err
	}
	return Diff(left, right), nil
}

// Diff of two listings.
func Diff(left, right []Item) []string {
	var out []string
	other := map[string]Item{}
	for _, item := range right {
		other[item.Path] = item
	}
	for _, item := range left {
		twin, ok := other[item.Path]
		delete(other, item.Path)
		switch {
		case !ok:
			out = append(out, "only left: "+item.Path)
		case item.Kind != twin.Kind:
			out = append(out, fmt.Sprintf("%s: %s and %s", item.Path, item.Kind, twin.Kind))
		case item.Sum != twin.Sum:
			out = append(out, item.Path+": content")
		case item.Mode != twin.Mode:
			out = append(out, fmt.Sprintf("%s: %v and %v", item.Path, item.Mode, twin.Mode))
		}
	}
	for path := range other {
		out = append(out, "only right: "+path)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
