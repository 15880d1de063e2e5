package up

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"okteto/cli/stack"
	"okteto/internal/contract"
)

// ignores looks at folders that have no .stignore. With
// OKTETO_AUTOGENERATE_STIGNORE=true they get the usual one for what they are written
// in; else all of a folder is synchronized, and what is made rather than written is
// named.
func (u *up) ignores() error {
	generate, _ := strconv.ParseBool(os.Getenv(contract.EnvAutogenerateIgnore))
	for _, folder := range u.target.Dev.Sync.Folders {
		if info, err := os.Stat(folder.LocalPath); err != nil || !info.IsDir() {
			continue
		}
		path := filepath.Join(folder.LocalPath, contract.IgnoreFile)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue // what is wrong with it shows where it is read
		}
		if generate {
			if err := writeIgnores(folder.LocalPath, path); err != nil {
				return err
			}
			u.Report.Note("Wrote %s: what it names is not synchronized", path)
			continue
		}
		if made := stack.Made(folder.LocalPath); len(made) > 0 {
			u.Report.Note("All of %s is synchronized, with %s; to leave things out write a %s, or set %s=true",
				folder.LocalPath, strings.Join(made, ", "), contract.IgnoreFile, contract.EnvAutogenerateIgnore)
		}
	}
	return nil
}

func writeIgnores(dir, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write ignore patterns: %w", err)
	}
	_, err = file.WriteString(stack.IgnoreFile(stack.Detect(dir)))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write ignore patterns: %w", err)
	}
	return nil
}
