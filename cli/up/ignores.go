package up

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"okteto/cli/manifest"
	"okteto/cli/stack"
	"okteto/internal/contract"
)

// Ignores looks at folders that have no .stignore. With
// OKTETO_AUTOGENERATE_STIGNORE=true they get the usual one for what they are written
// in. Else ask decides, as it does with the original client: what it declines is
// synchronized whole, and it is not asked again. Where nobody can be asked, ask is
// nil, all of a folder is synchronized, and what is made rather than written is
// named.
func Ignores(folders []manifest.SyncFolder, report Reporter, ask func(question string) (bool, error)) error {
	generate, _ := strconv.ParseBool(os.Getenv(contract.EnvAutogenerateIgnore))
	for _, folder := range folders {
		dir := folder.LocalPath
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		path := filepath.Join(dir, contract.IgnoreFile)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue // what is wrong with it shows where it is read
		}
		language, made := stack.Detect(dir), stack.Made(dir)
		usual := stack.IgnoreFile(language)
		switch {
		case generate:
			if err := writeIgnores(path, usual); err != nil {
				return err
			}
			report.Note("Wrote %s: what it names is not synchronized", path)
		case ask != nil && (language != nil || made != nil):
			leave, err := ask(fmt.Sprintf("%s has no %s. Leave out what is usually not synchronized (%s)?",
				dir, contract.IgnoreFile, strings.Join(stack.Patterns(language), ", ")))
			if err != nil {
				return err
			}
			if !leave {
				usual = everything
			}
			if err := writeIgnores(path, usual); err != nil {
				return err
			}
			report.Note("Wrote %s: change there what is synchronized", path)
		case made != nil:
			report.Note("All of %s is synchronized, with %s; to leave things out write a %s, or set %s=true",
				dir, strings.Join(made, ", "), contract.IgnoreFile, contract.EnvAutogenerateIgnore)
		}
	}
	return nil
}

// everything is a .stignore that leaves nothing out.
const everything = "// What is not synchronized (https://docs.syncthing.net/users/ignoring): nothing.\n"

func writeIgnores(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write ignore patterns: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write ignore patterns: %w", err)
	}
	return nil
}
