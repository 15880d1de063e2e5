package manifest

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the table of all fields of an environment, in Markdown, for the
// documentation. Like Schema it is made from the types.
func Reference() string {
	var b strings.Builder
	b.WriteString("| field | |\n|---|---|\n")
	reference(&b, "", reflect.TypeFor[Dev]())
	return b.String()
}

func reference(b *strings.Builder, prefix string, t reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		doc := f.Tag.Get("doc")
		if name == "" || name == "-" || doc == "" {
			continue
		}
		column := "`" + prefix + name + "`"
		if alias := f.Tag.Get("alias"); alias != "" {
			column += " (`" + alias + "`)"
		}
		if f.Tag.Get("expand") == "true" {
			column += " `$`"
		}
		if enum := f.Tag.Get("enum"); strings.Contains(enum, ",") {
			doc += " One of " + strings.ReplaceAll(enum, ",", ", ") + "."
		}
		fmt.Fprintf(b, "| %s | %s |\n", column, doc)
		nested := f.Type
		element := ""
		if nested.Kind() == reflect.Slice {
			nested, element = nested.Elem(), "[]"
		}
		if nested.Kind() == reflect.Pointer {
			nested = nested.Elem()
		}
		// Kubernetes' own types are documented there.
		if nested.Kind() == reflect.Struct && strings.HasSuffix(nested.PkgPath(), "cli/manifest") {
			reference(b, prefix+name+element+".", nested)
		}
	}
}
