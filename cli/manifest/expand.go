package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// environment is what ${VAR} is taken from: the process's environment, and
// below it the .env file beside the manifest. The process's environment is
// never changed.
type environment struct {
	dir    string // what relative local paths are relative to
	values map[string]string
}

func newEnvironment(dir string) (*environment, error) {
	e := &environment{dir: dir, values: map[string]string{}}
	vars, err := readEnvFile(filepath.Join(dir, ".env"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the environment beside the manifest: %w", err)
	}
	for _, v := range vars {
		e.values[v.Name] = v.Value
	}
	for _, entry := range os.Environ() {
		if k, v, ok := strings.Cut(entry, "="); ok && k != "" {
			e.values[k] = v
		}
	}
	return e, nil
}

// expand replaces variables: see substitute. One that is not set and has no
// default is a warning, and empty, as in a shell.
func (d *decoder) expand(field string, n *yaml.Node, text string) (string, bool) {
	if !strings.Contains(text, "$") {
		return text, true
	}
	result, unset, err := substitute(text, d.env.values)
	var missing *missingError
	if errors.As(err, &missing) {
		d.fail(field, n, "set it, or write it to .env beside the manifest", "%s", missing)
		return "", false
	}
	if err != nil {
		d.fail(field, n, "write ${NAME} or ${NAME:-default}", "%q cannot be expanded: %v", text, err)
		return "", false
	}
	for _, name := range unset {
		d.warn(field, n, fmt.Sprintf("set it, or give a default: ${%s:-default}", name), "%q: variable %s is not set; it is empty here", text, name)
	}
	return result, true
}
