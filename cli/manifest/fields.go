package manifest

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// structField is a key of a mapping and the field it fills.
type structField struct {
	name  string
	index []int
	tag   reflect.StructTag
}

// structFields returns the fields of a struct by key and by alias.
func structFields(t reflect.Type) map[string]structField {
	fields := map[string]structField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || name == "" || !f.IsExported() {
			continue
		}
		field := structField{name: name, index: f.Index, tag: f.Tag}
		fields[name] = field
		if alias := f.Tag.Get("alias"); alias != "" {
			fields[alias] = field
		}
	}
	return fields
}

// keysOf lists a struct's keys and aliases, sorted.
func keysOf(t reflect.Type) []string {
	var keys []string
	for key := range structFields(t) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// firstKeys are a few keys to tell what a mapping is about.
func firstKeys(t reflect.Type) []string {
	var keys []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	if len(keys) > 4 {
		keys = append(keys[:4], "…")
	}
	return keys
}

// unsupported keys of the original's manifests, and what to say about them.
// Those with fatal false change nothing about the environment and are warned
// about only.
type unsupported struct {
	message, hint string
	fatal         bool
}

func unsupportedKeys() map[string]unsupported {
	return map[string]unsupported{
		"push":        {message: "has no effect: up --build pushes the image under its name"},
		"subpath":     {message: "has no effect: use sync to choose the folders"},
		"docker":      {message: "is not supported: no Docker daemon is started beside the container", hint: "run one as a sidecar of the workload", fatal: true},
		"divert":      {message: "is not supported", hint: "use a namespace of your own", fatal: true},
		"entrypoint":  {message: "is not supported: the container's entrypoint is okteto's agent", hint: "use command", fatal: true},
		"environ":     {message: "is unknown", hint: "use environment", fatal: true},
		"deployments": {message: "is unknown", hint: "use services", fatal: true},
	}
}

// unknown reports a key that v's type does not have.
func (d *decoder) unknown(field string, p pair, t reflect.Type) {
	where := join(field, p.key)
	if t == reflect.TypeFor[Dev]() {
		if known, ok := unsupportedKeys()[p.key]; ok {
			if known.fatal {
				d.fail(where, p.name, known.hint, "%s", known.message)
			} else {
				d.warn(where, p.name, known.hint, "%s", known.message)
			}
			return
		}
	}
	hint := didYouMean(p.key, keysOf(t))
	if hint == "" && t != reflect.TypeFor[Dev]() {
		if _, ok := structFields(reflect.TypeFor[Dev]())[p.key]; ok {
			hint = "it belongs to the environment: move it to the left"
		}
	}
	d.fail(where, p.name, hint, "unknown field")
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// describe names what a node is, for "expected …, got …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool", "!!int", "!!float":
		return n.Value
	}
	return `"` + n.Value + `"`
}
