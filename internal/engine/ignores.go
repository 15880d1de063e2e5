package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	stfs "github.com/syncthing/syncthing/lib/fs"
	"github.com/syncthing/syncthing/lib/ignore"

	"okteto/internal/contract"
)

// Ignores are a folder's patterns (https://docs.syncthing.net/users/ignoring.html).
type Ignores struct {
	matcher    *ignore.Matcher
	exceptions bool
	text       []byte
}

// LoadIgnores reads the patterns of the folder at root, with what they include.
// A folder without .stignore has none.
func LoadIgnores(root string) (*Ignores, error) {
	text, err := expandIgnores(root, contract.IgnoreFile, map[string]bool{})
	if err != nil {
		return nil, err
	}
	matcher := ignore.New(stfs.NewFilesystem(stfs.FilesystemTypeBasic, root))
	if err := matcher.Parse(bytes.NewReader(text), contract.IgnoreFile); err != nil {
		return nil, fmt.Errorf("parse %s: %w", filepath.Join(root, contract.IgnoreFile), err)
	}
	return &Ignores{matcher: matcher, exceptions: hasExceptions(matcher), text: text}, nil
}

// Text is the patterns as one file that includes nothing: what the pod gets.
func (i *Ignores) Text() []byte { return i.text }

// Skip reports whether a path, relative to the root, is not synchronized, and
// whether nothing below it is either.
func (i *Ignores) Skip(path string) (skip, below bool) {
	if stfs.IsTemporary(path) || stfs.IsInternal(path) {
		return true, true
	}
	result := i.matcher.Match(path)
	return result.IsIgnored(), result.IsIgnored() && (result.CanSkipDir() || !i.exceptions)
}

// errIncludeLoop ends files that include each other.
var errIncludeLoop = errors.New("included more than once")

func expandIgnores(root, name string, seen map[string]bool) ([]byte, error) {
	path := filepath.Join(root, name)
	if seen[path] {
		return nil, fmt.Errorf("read ignore patterns %s: %w", path, errIncludeLoop)
	}
	seen[path] = true
	content, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && name == contract.IgnoreFile {
			return nil, nil
		}
		return nil, fmt.Errorf("read ignore patterns: %w", err)
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(content)) {
		include, ok := strings.CutPrefix(strings.TrimSpace(line), "#include ")
		if !ok {
			out.WriteString(strings.TrimRight(line, "\r\n") + "\n")
			continue
		}
		// An include is relative to the file it is in.
		below, err := expandIgnores(root, filepath.Join(filepath.Dir(name), strings.TrimSpace(include)), seen)
		if err != nil {
			return nil, err
		}
		out.Write(below)
	}
	return out.Bytes(), nil
}

// isIgnoreFile reports whether a path holds ignore patterns: .stignore or what
// it includes.
func (r *folderRunner) isIgnoreFile(path string) bool {
	if path == contract.IgnoreFile {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.matcher.Lines() {
		if name, ok := strings.CutPrefix(line, "#include "); ok && filepath.Clean(strings.TrimSpace(name)) == path {
			return true
		}
	}
	return false
}
