package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Schema returns the JSON schema (draft 2020-12) of manifests, for editors. It
// is made from the types that Load fills, so the two cannot differ.
func Schema() ([]byte, error) {
	g := &schemaGenerator{defs: map[string]any{}}
	root := map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "okteto manifest",
		"description": "What a developer wants changed in a workload while working on it.",
		// The two forms are told apart by this.
		"if":    map[string]any{"required": []string{"dev"}},
		"then":  g.ref(reflect.TypeFor[rootForm]()),
		"else":  g.topLevelDev(),
		"$defs": g.defs,
	}
	content, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(content, '\n'), nil
}

type schemaGenerator struct {
	defs map[string]any
}

// topLevelDev is the flat form: an environment that must have a name.
func (g *schemaGenerator) topLevelDev() any {
	return map[string]any{
		"$ref":     "#/$defs/Dev",
		"required": []string{"name"},
	}
}

// ref returns a reference to the definition of a struct.
func (g *schemaGenerator) ref(t reflect.Type) any {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if _, known := g.defs[name]; !known {
		g.defs[name] = true // breaks cycles
		g.defs[name] = g.structSchema(t)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (g *schemaGenerator) structSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for key, f := range structFields(t) {
		field := g.typeSchema(t.FieldByIndex(f.index).Type, f.tag)
		if doc := f.tag.Get("doc"); doc != "" {
			field = withDescription(field, doc)
		}
		if key == f.tag.Get("alias") {
			field = withDescription(field, "The same as "+f.name+".")
		}
		properties[key] = field
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func withDescription(schema any, text string) any {
	object, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	described := map[string]any{"description": text}
	for k, v := range object {
		described[k] = v
	}
	return described
}

func object(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

// forms are the schemas of types that can be written in several ways; they say
// what the decodeNode methods read.
func (g *schemaGenerator) forms(t reflect.Type) (any, bool) {
	scalar := object("type", []string{"string", "number", "boolean"})
	texts := object("type", "array", "items", scalar)
	switch t {
	case reflect.TypeFor[Command](), reflect.TypeFor[StringList]():
		return object("oneOf", []any{scalar, texts}), true
	case reflect.TypeFor[Kind]():
		return object("enum", []string{"Deployment", "StatefulSet", "deployment", "statefulset"}), true
	case reflect.TypeFor[Environment]():
		return object("oneOf", []any{texts, object("type", "object", "additionalProperties", object("type", []string{"string", "number", "boolean", "null"}))}), true
	case reflect.TypeFor[ResourceList]():
		return object("type", "object", "additionalProperties", object("type", []string{"string", "number"})), true
	case reflect.TypeFor[Image]():
		return object("oneOf", []any{scalar, g.ref(t)}), true
	case reflect.TypeFor[Probes](), reflect.TypeFor[Lifecycle](), reflect.TypeFor[Hook]():
		return object("oneOf", []any{object("type", "boolean"), g.ref(t)}), true
	case reflect.TypeFor[Timeout]():
		duration := object("type", "string", "pattern", durationPattern)
		return object("oneOf", []any{duration, object("type", "object", "additionalProperties", false,
			"properties", object("default", duration, "resources", duration))}), true
	case reflect.TypeFor[Volume]():
		return object("type", "string"), true
	case reflect.TypeFor[SyncFolder](), reflect.TypeFor[Secret](), reflect.TypeFor[ExternalVolume](), reflect.TypeFor[Reverse]():
		return object("type", "string", "pattern", ".:"), true
	case reflect.TypeFor[Forward]():
		return object("oneOf", []any{object("type", "string", "pattern", "^[^:]+:([^:]+:)?[^:]+$"), g.ref(reflect.TypeFor[forwardMapping]())}), true
	case reflect.TypeFor[Sync]():
		return object("oneOf", []any{object("type", "array", "items", g.typeSchema(reflect.TypeFor[SyncFolder](), "")), g.ref(t)}), true
	case reflect.TypeFor[devMap]():
		return object("type", "object", "additionalProperties", g.ref(reflect.TypeFor[Dev]()),
			"propertyNames", object("pattern", dnsLabel.String())), true
	case reflect.TypeFor[ignored]():
		return object(), true
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString]():
		return object("type", []string{"string", "number"}), true
	case reflect.TypeFor[metav1.Time]():
		return object("type", "string", "format", "date-time"), true
	case reflect.TypeFor[time.Duration]():
		return object("type", "string", "pattern", durationPattern), true
	case reflect.TypeFor[corev1.Affinity]():
		return g.ref(t), true
	}
	return nil, false
}

// durationPattern is what time.ParseDuration reads, roughly.
const durationPattern = `^([0-9.]+(h|m|s|ms))+$`

func (g *schemaGenerator) typeSchema(t reflect.Type, tag reflect.StructTag) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if schema, ok := g.forms(t); ok {
		return schema
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.ref(t)
	case reflect.Map:
		return object("type", "object", "additionalProperties", g.typeSchema(t.Elem(), tag))
	case reflect.Slice:
		return object("type", "array", "items", g.typeSchema(t.Elem(), tag))
	case reflect.Bool:
		return object("type", "boolean")
	case reflect.String:
		if enum := tag.Get("enum"); enum != "" {
			return object("enum", strings.Split(enum, ","))
		}
		// Numbers are read as they are written: image tags, label values.
		return object("type", []string{"string", "number", "boolean"})
	}
	schema := object("type", "integer")
	for key, name := range map[string]string{"min": "minimum", "max": "maximum"} {
		if n, err := strconv.Atoi(tag.Get(key)); err == nil {
			schema[name] = n
		}
	}
	return schema
}
