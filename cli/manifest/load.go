package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"okteto/internal/contract"
)

// maxSize of a manifest, in bytes: far above what people write.
const maxSize = 1 << 20

// Candidates are the manifest's names in the order they are tried.
func Candidates() []string {
	return []string{
		contract.ManifestFile,
		contract.ManifestFileYAML,
		filepath.Join(contract.ManifestDir, contract.ManifestFile),
		filepath.Join(contract.ManifestDir, contract.ManifestFileYAML),
	}
}

// Load reads and checks the manifest at path, or, if path is empty, the first
// of okteto.yml, okteto.yaml, .okteto/okteto.yml and .okteto/okteto.yaml in the
// working directory. A path that is a folder is searched the same way.
// Relative local paths are relative to the folder of the manifest, or to the
// parent of a .okteto folder. It reads nothing but the manifest, the .env file
// beside it and the env files it names: whether local folders and secret files
// exist is CheckLocal's to say.
//
// The error is ErrNotFound, *Error with every issue found, or that of reading.
func Load(path string) (*Manifest, error) {
	path, err := locate(path)
	if err != nil {
		return nil, err
	}
	content, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("locate manifest: %w", err)
	}
	dir := filepath.Dir(absolute)
	if filepath.Base(dir) == contract.ManifestDir {
		dir = filepath.Dir(dir)
	}
	env, err := newEnvironment(dir)
	if err != nil {
		return nil, err
	}
	m, err := parse(path, content, env)
	if err != nil {
		return nil, err
	}
	m.Path = absolute
	return m, nil
}

func locate(path string) (string, error) {
	dir := "."
	if path != "" {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %s does not exist", ErrNotFound, path)
		}
		if err != nil {
			return "", fmt.Errorf("open manifest: %w", err)
		}
		if !info.IsDir() {
			return path, nil
		}
		dir = path
	}
	for _, candidate := range Candidates() {
		candidate = filepath.Join(dir, candidate)
		info, err := os.Stat(candidate)
		if err == nil && !info.IsDir() {
			return candidate, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("look for a manifest: %w", err)
		}
	}
	where, err := filepath.Abs(dir)
	if err != nil {
		where = dir
	}
	return "", fmt.Errorf("%w in %s", ErrNotFound, where)
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if len(content) > maxSize {
		return nil, &Error{Issues: []Issue{{Path: path, Message: fmt.Sprintf("larger than %d bytes; this is no manifest", maxSize)}}}
	}
	return content, nil
}

// parse reads the content of a manifest.
func parse(path string, content []byte, env *environment) (*Manifest, error) {
	d := &decoder{path: path, env: env, positions: map[string]position{}}
	root, err := d.document(content)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Path: path}
	d.manifest(m, root)
	if len(d.issues) == 0 {
		d.check(m)
	}
	if len(d.issues) > 0 {
		e := &Error{Issues: d.issues}
		e.sort()
		return nil, e
	}
	m.Warnings = d.warnings
	return m, nil
}

// document returns the root mapping of the only document.
func (d *decoder) document(content []byte) (*yaml.Node, error) {
	fail := func(n *yaml.Node, hint, message string) (*yaml.Node, error) {
		return nil, &Error{Issues: []Issue{d.issue("", n, hint, message)}}
	}
	documents := yaml.NewDecoder(bytes.NewReader(content))
	var node yaml.Node
	err := documents.Decode(&node)
	if errors.Is(err, io.EOF) {
		return fail(nil, "okteto init writes one", "the file is empty")
	}
	if err != nil {
		return nil, &Error{Issues: []Issue{d.syntaxIssue(content, err)}}
	}
	var second yaml.Node
	if err := documents.Decode(&second); err == nil {
		return fail(&second, "remove it", "a second document: a manifest is one document")
	} else if !errors.Is(err, io.EOF) {
		return nil, &Error{Issues: []Issue{d.syntaxIssue(content, err)}}
	}
	if len(node.Content) == 0 {
		return fail(nil, "okteto init writes one", "the file is empty")
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return fail(nil, "okteto init writes one", "the file is empty")
	}
	if root.Kind != yaml.MappingNode {
		return fail(root, "see docs/manifest.md", "expected a mapping of name, image, sync, …, got "+describe(root))
	}
	return root, nil
}

// rootForm is the modern form's top level.
type rootForm struct {
	Name      string    `json:"name,omitempty" expand:"true" doc:"Name of the whole; no environment's."`
	Namespace string    `json:"namespace,omitempty" expand:"true" doc:"Namespace of the environments that name none."`
	Context   string    `json:"context,omitempty" expand:"true" doc:"Context of the environments that name none."`
	Dev       devMap    `json:"dev,omitempty" doc:"Environments by name."`
	Forward   []Forward `json:"forward,omitempty" doc:"Forwards to services, for whichever environment is up: local:service:remote."`
	Icon      string    `json:"icon,omitempty" doc:"Ignored."`

	Build        ignored `json:"build,omitempty" doc:"Ignored: an environment says in image how up --build makes its image."`
	Dependencies ignored `json:"dependencies,omitempty" doc:"Ignored."`
	Deploy       ignored `json:"deploy,omitempty" doc:"Ignored: this client deploys nothing."`
	Destroy      ignored `json:"destroy,omitempty" doc:"Ignored."`
	External     ignored `json:"external,omitempty" doc:"Ignored."`
	Test         ignored `json:"test,omitempty" doc:"Ignored."`
}

// ignored is a section of the original's manifest that this client accepts and
// does not carry out.
type ignored struct{}

func (*ignored) decodeNode(d *decoder, field string, n *yaml.Node) {
	d.warn(field, n, "", "this section is not carried out by this client")
}

// devMap is the modern form's environments, in order.
type devMap []*Dev

func (m *devMap) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fail(field, n, "write the name of the environment, a colon, and its fields below", "expected a mapping of environments by name, got %s", describe(n))
		return
	}
	for _, p := range d.pairs(field, n) {
		dev := newDev()
		where := join(field, p.key)
		d.decode(where, p.value, reflect.ValueOf(dev).Elem(), "")
		if dev.Name != "" && dev.Name != p.key {
			d.fail(join(where, "name"), p.name, "remove it", "the environment is already named %s", p.key)
		}
		dev.Name = p.key
		dev.field, dev.Line = where, p.name.Line
		*m = append(*m, dev)
	}
}

func newDev() *Dev { return &Dev{Sync: defaultSync()} }

func (d *decoder) manifest(m *Manifest, root *yaml.Node) {
	pairs := d.pairs("", root)
	if !modern(pairs) {
		dev := newDev()
		dev.Line = root.Line
		d.decodePairs("", pairs, reflect.ValueOf(dev).Elem())
		d.positions[""] = position{root.Line, root.Column}
		m.Devs = []*Dev{dev}
	} else {
		var form rootForm
		d.decodePairs("", pairs, reflect.ValueOf(&form).Elem())
		m.Devs, m.Forward = form.Dev, form.Forward
		if len(m.Devs) == 0 && len(d.issues) == 0 {
			d.fail("dev", root, "add one, with its name as the key", "the manifest has no environment")
		}
		for _, dev := range m.Devs {
			dev.Namespace = orElse(dev.Namespace, form.Namespace)
			dev.Context = orElse(dev.Context, form.Context)
		}
	}
	for _, dev := range m.Devs {
		dev.Path, dev.positions = d.path, d.positions
		d.resolve(dev)
	}
}

// modern tells the two forms apart: by `dev`, or by another key that only the
// modern form has.
func modern(pairs []pair) bool {
	dev, root := structFields(reflect.TypeFor[Dev]()), structFields(reflect.TypeFor[rootForm]())
	score := 0
	for _, p := range pairs {
		_, inDev := dev[p.key]
		_, inRoot := root[p.key]
		switch {
		case p.key == "dev":
			return true
		case inRoot && !inDev:
			score++
		case inDev && !inRoot:
			score--
		}
	}
	return score > 0
}

func orElse(value, otherwise string) string {
	if strings.TrimSpace(value) == "" {
		return otherwise
	}
	return value
}
