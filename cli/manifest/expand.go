package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	envsubst "github.com/a8m/envsubst/parse"
	"github.com/joho/godotenv"
	"go.yaml.in/yaml/v3"
)

// environment is what ${VAR} is taken from: the process's environment, and
// below it the .env file beside the manifest. The process's environment is
// never changed.
type environment struct {
	dir    string // what relative local paths are relative to
	values map[string]string
	list   []string // KEY=VALUE, sorted
}

func newEnvironment(dir string) (*environment, error) {
	e := &environment{dir: dir, values: map[string]string{}}
	path := filepath.Join(dir, ".env")
	values, err := godotenv.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	for k, v := range values {
		e.values[k] = v
	}
	for _, entry := range os.Environ() {
		if k, v, ok := strings.Cut(entry, "="); ok && k != "" {
			e.values[k] = v
		}
	}
	for k, v := range e.values {
		e.list = append(e.list, k+"="+v)
	}
	slices.Sort(e.list)
	return e, nil
}

// expand replaces $VAR, ${VAR}, ${VAR:-default} and their kin. A variable that
// is not set and has no default is a warning, and empty, as in a shell.
func (d *decoder) expand(field string, n *yaml.Node, text string) (string, bool) {
	if !strings.Contains(text, "$") {
		return text, true
	}
	result, err := envsubst.New(field, d.env.list, envsubst.Relaxed).Parse(text)
	if err != nil {
		d.fail(field, n, "write ${NAME} or ${NAME:-default}", "%q cannot be expanded: %v", text, err)
		return "", false
	}
	strict := envsubst.New(field, d.env.list, &envsubst.Restrictions{NoUnset: true})
	if _, err := strict.Parse(text); err != nil {
		d.warn(field, n, "set it, or give a default: ${NAME:-default}", "%q: %v; it is empty here", text, err)
	}
	return result, true
}

// readEnvFile reads a file of KEY=VALUE lines, sorted by key.
func readEnvFile(path string) (Environment, error) {
	values, err := godotenv.Read(path)
	if err != nil {
		return nil, err
	}
	var vars Environment
	for name, value := range values {
		vars = append(vars, EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(vars, func(a, b EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return vars, nil
}
