package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on what a manifest may make the decoder do: aliases can refer to
// themselves, or grow exponentially.
const (
	maxDepth = 64
	maxNodes = 100_000
)

// nodeDecoder is implemented by types that can be written in several forms.
type nodeDecoder interface {
	decodeNode(d *decoder, field string, n *yaml.Node)
}

// position of a value in the file, counted from 1.
type position struct {
	line, column int
}

// decoder fills typed values from YAML nodes and collects everything that is
// wrong on the way. Where a value is wrong, the zero value stays.
type decoder struct {
	path      string
	env       *environment
	issues    []Issue
	warnings  []Issue
	positions map[string]position
	depth     int
	nodes     int
	// exhausted is set once a limit has been reported.
	exhausted bool
}

func (d *decoder) fail(field string, n *yaml.Node, hint, format string, args ...any) {
	d.issues = append(d.issues, d.issue(field, n, hint, fmt.Sprintf(format, args...)))
}

func (d *decoder) warn(field string, n *yaml.Node, hint, format string, args ...any) {
	d.warnings = append(d.warnings, d.issue(field, n, hint, fmt.Sprintf(format, args...)))
}

func (d *decoder) issue(field string, n *yaml.Node, hint, message string) Issue {
	issue := Issue{Path: d.path, Field: field, Message: message, Hint: hint}
	if n != nil {
		issue.Line, issue.Column = n.Line, n.Column
	}
	return issue
}

// decode fills v, which must be settable. tag is that of the struct field.
func (d *decoder) decode(field string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if !d.enter(field, n) {
		return
	}
	defer func() { d.depth-- }()
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.positions[field] = position{n.Line, n.Column}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(field, n, v.Elem(), tag)
		return
	}
	if special, ok := v.Addr().Interface().(nodeDecoder); ok {
		special.decodeNode(d, field, n)
		return
	}
	if special, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		d.decodeJSON(field, n, special)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(field, n, v)
	case reflect.Map:
		d.decodeMap(field, n, v, tag)
	case reflect.Slice:
		d.decodeSlice(field, n, v, tag)
	default:
		d.decodeScalar(field, n, v, tag)
	}
}

func (d *decoder) enter(field string, n *yaml.Node) bool {
	d.depth++
	d.nodes++
	if d.depth > maxDepth || d.nodes > maxNodes {
		if !d.exhausted {
			d.exhausted = true
			d.fail(field, n, "", "too deeply nested, or too many aliases")
		}
		d.depth--
		return false
	}
	return true
}

// pair is one entry of a mapping.
type pair struct {
	key   string
	name  *yaml.Node
	value *yaml.Node
}

// pairs returns a mapping's entries in order, with merge keys (<<) resolved:
// what the mapping says itself wins.
func (d *decoder) pairs(field string, n *yaml.Node) []pair {
	var own, merged []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind == yaml.ScalarNode && name.ShortTag() == "!!merge" {
			merged = append(merged, d.merge(field, value)...)
			continue
		}
		if name.Kind != yaml.ScalarNode {
			d.fail(field, name, "", "a key must be a plain word")
			continue
		}
		if seen[name.Value] {
			d.fail(join(field, name.Value), name, "remove one of them", "this key is there twice")
			continue
		}
		seen[name.Value] = true
		own = append(own, pair{name.Value, name, value})
	}
	for _, p := range merged {
		if !seen[p.key] {
			seen[p.key] = true
			own = append(own, p)
		}
	}
	return own
}

func (d *decoder) merge(field string, value *yaml.Node) []pair {
	if !d.enter(field, value) {
		return nil
	}
	defer func() { d.depth-- }()
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch value.Kind {
	case yaml.MappingNode:
		return d.pairs(field, value)
	case yaml.SequenceNode:
		var all []pair
		for _, item := range value.Content {
			all = append(all, d.merge(field, item)...)
		}
		return all
	}
	d.fail(field, value, "", "a merge key (<<) needs a mapping")
	return nil
}

func (d *decoder) decodeStruct(field string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fail(field, n, "", "expected a mapping of %s, got %s", strings.Join(firstKeys(v.Type()), ", "), describe(n))
		return
	}
	d.decodePairs(field, d.pairs(field, n), v)
}

func (d *decoder) decodePairs(field string, pairs []pair, v reflect.Value) {
	fields := structFields(v.Type())
	given := map[string]string{}
	for _, p := range pairs {
		f, ok := fields[p.key]
		if !ok {
			d.unknown(field, p, v.Type())
			continue
		}
		if other, twice := given[f.name]; twice {
			d.fail(join(field, p.key), p.name, "remove one of them", "%s and %s mean the same", other, p.key)
			continue
		}
		given[f.name] = p.key
		d.decode(join(field, p.key), p.value, v.FieldByIndex(f.index), f.tag)
		if p.key != f.name { // messages of later checks use the canonical name
			d.positions[join(field, f.name)] = d.positions[join(field, p.key)]
		}
	}
}

func (d *decoder) decodeMap(field string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.MappingNode {
		d.fail(field, n, "", "expected a mapping, got %s", describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(field, n) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(join(field, p.key), p.value, element, tag)
		v.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), element)
	}
}

func (d *decoder) decodeSlice(field string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		d.fail(field, n, "put a dash before it, on a line of its own", "expected a list, got %s", describe(n))
		return
	}
	for i, item := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(fmt.Sprintf("%s[%d]", field, i), item, element, tag)
		v.Set(reflect.Append(v, element))
	}
}
