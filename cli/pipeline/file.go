package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// maxFile is far above what people write, in bytes.
const maxFile = 512 << 10

// File is a read okteto-pipeline.yml.
type File struct {
	// Path as it was found, relative to the repository.
	Path string
	// Icon is a URL that graphical clients show.
	Icon string
	// Deploy and Destroy are commands, in order.
	Deploy, Destroy []Command
	// Devs are manifests of environments, relative to the repository.
	Devs []string
	// Content of the file.
	Content []byte
}

// Command is one command of a pipeline.
type Command struct {
	// Name to show; that of a command without one is its first line.
	Name string
	// Command is given to the shell.
	Command string
}

// fileNames are tried in this order.
func fileNames() []string {
	return []string{
		contract.PipelineFile,
		strings.TrimSuffix(contract.PipelineFile, ".yml") + ".yaml",
		filepath.Join(contract.ManifestDir, contract.PipelineFile),
		filepath.Join(contract.ManifestDir, strings.TrimSuffix(contract.PipelineFile, ".yml")+".yaml"),
	}
}

// errNoFile says that the repository has no pipeline file.
var errNoFile = errors.New("no pipeline file")

// readFile reads the pipeline's file in a repository, the named or the first
// of the usual names.
func readFile(dir, name string) (*File, error) {
	names := fileNames()
	if name != "" {
		names = []string{name}
	}
	for _, name := range names {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		content, err := readLimited(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read pipeline: %w", err)
		}
		f, err := parse(name, content)
		if err != nil {
			return nil, err
		}
		return f, f.checkDevs(dir)
	}
	return nil, &ui.Problem{
		Summary: fmt.Sprintf("there is no %s in %s", names[0], dir),
		Hint:    "write one with a list of commands under deploy, or name another file with -f",
		Cause:   errNoFile,
	}
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return content, err
}

// parse reads the file's content; path is for messages. Unknown keys and wrong
// types are problems that name the line.
func parse(path string, content []byte) (*File, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	err := decoder.Decode(&document)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &ui.Problem{Summary: path + " is not valid YAML", Cause: err, Hint: "correct it and try again"}
	}
	f := &File{Path: path, Content: content}
	if len(document.Content) == 0 {
		return nil, wrong(path, &yaml.Node{Line: 1, Column: 1}, "it is empty", "it needs a list of commands under deploy")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, wrong(path, root, "it is not a mapping", "the keys are icon, deploy, destroy and devs")
	}
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], resolve(root.Content[i+1])
		if seen[key.Value] {
			return nil, wrong(path, key, key.Value+" is there twice", "put both lists under one key")
		}
		seen[key.Value] = true
		if err := f.set(key, value); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) set(key, value *yaml.Node) error {
	var err error
	switch key.Value {
	case "icon":
		if value.Kind != yaml.ScalarNode {
			return wrong(f.Path, value, "icon is not a string", "")
		}
		f.Icon = value.Value
	case "deploy":
		f.Deploy, err = commands(f.Path, key.Value, value)
	case "destroy":
		f.Destroy, err = commands(f.Path, key.Value, value)
	case "devs":
		f.Devs, err = texts(f.Path, key.Value, value)
	default:
		return wrong(f.Path, key, fmt.Sprintf("unknown key %q", key.Value), "the keys are icon, deploy, destroy and devs")
	}
	return err
}

// commands is a list of strings, or of mappings of name and command.
func commands(path, field string, node *yaml.Node) ([]Command, error) {
	items, err := list(path, field, node)
	if err != nil {
		return nil, err
	}
	var result []Command
	for _, item := range items {
		var c Command
		switch item.Kind {
		case yaml.ScalarNode:
			c.Command = item.Value
		case yaml.MappingNode:
			for i := 0; i < len(item.Content); i += 2 {
				key, value := item.Content[i], resolve(item.Content[i+1])
				switch {
				case value.Kind == yaml.ScalarNode && key.Value == "name":
					c.Name = value.Value
				case value.Kind == yaml.ScalarNode && key.Value == "command":
					c.Command = value.Value
				default:
					return nil, wrong(path, key, fmt.Sprintf("%s: %q is not known here", field, key.Value), "a command is a string, or has a name and a command")
				}
			}
		default:
			return nil, wrong(path, item, field+": a command is not a string", "quote it if it has a colon")
		}
		if strings.TrimSpace(c.Command) == "" {
			return nil, wrong(path, item, field+": a command is empty", "remove it")
		}
		if c.Name == "" {
			c.Name, _, _ = strings.Cut(strings.TrimSpace(c.Command), "\n")
		}
		result = append(result, c)
	}
	return result, nil
}

func texts(path, field string, node *yaml.Node) ([]string, error) {
	items, err := list(path, field, node)
	if err != nil {
		return nil, err
	}
	var result []string
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || item.Value == "" {
			return nil, wrong(path, item, field+": an entry is not a path", "")
		}
		result = append(result, item.Value)
	}
	return result, nil
}

func list(path, field string, node *yaml.Node) ([]*yaml.Node, error) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil, nil
	}
	if node.Kind != yaml.SequenceNode {
		return nil, wrong(path, node, field+" is not a list", "start each line with a dash")
	}
	items := slices.Clone(node.Content)
	for i := range items {
		items[i] = resolve(items[i])
	}
	return items, nil
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func wrong(path string, node *yaml.Node, message, hint string) error {
	return &ui.Problem{Summary: fmt.Sprintf("%s:%d:%d: %s", path, node.Line, node.Column, message), Hint: hint}
}
