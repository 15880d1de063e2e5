// Package manifest reads okteto.yml: what a developer wants changed in a
// workload while working on it.
//
// Two forms are read, and nothing else: one environment at the top level, as
// CLI 1.x had it (pkg/model/dev.go at 1.9.2), and a map of environments under
// `dev`, as 2.x and 3.x do (schema.json). Unknown keys, wrong types and bad
// values are errors that name the line, the column, the field and, where there
// is one, a fix. The types carry their own documentation in tags, from which
// the JSON schema (Schema) is made.
package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotFound is returned by Load when there is no manifest.
var ErrNotFound = errors.New("no okteto.yml found")

// ErrNoDev is returned by Manifest.Dev when the manifest has no such
// environment, or has several and none was named.
var ErrNoDev = errors.New("no such environment in the manifest")

// Manifest is a read and checked okteto.yml.
type Manifest struct {
	// Path of the file, absolute.
	Path string
	// Devs are the environments in the order of the file; there is at least
	// one.
	Devs []*Dev
	// Forward are forwards that belong to no environment in particular: the
	// top-level `forward` of the modern form. Service is always set.
	Forward []Forward
	// Warnings are accepted but ineffective parts, such as a `deploy` section.
	Warnings []Issue
}

// Names of the environments, in the order of the file.
func (m *Manifest) Names() []string {
	names := make([]string, 0, len(m.Devs))
	for _, d := range m.Devs {
		names = append(names, d.Name)
	}
	return names
}

// Dev returns the environment of that name, or the only one when name is
// empty. The error is a *NoDevError.
func (m *Manifest) Dev(name string) (*Dev, error) {
	if name == "" {
		if len(m.Devs) == 1 {
			return m.Devs[0], nil
		}
		return nil, &NoDevError{Path: m.Path, Has: m.Names()}
	}
	for _, d := range m.Devs {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, &NoDevError{Path: m.Path, Name: name, Has: m.Names()}
}

// NoDevError says which environment a manifest lacks. It is ErrNoDev.
type NoDevError struct {
	Path string // of the manifest
	Name string // that was asked for; empty: none, and the manifest has several
	Has  []string
}

func (e *NoDevError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s has several environments, name one of: %s", e.Path, strings.Join(e.Has, ", "))
	}
	text := fmt.Sprintf("%q is not in %s, which has: %s", e.Name, e.Path, strings.Join(e.Has, ", "))
	if guess := Suggest(e.Name, e.Has); guess != "" {
		text += fmt.Sprintf("; did you mean %s?", guess)
	}
	return text
}

// Is makes it ErrNoDev.
func (e *NoDevError) Is(target error) bool { return target == ErrNoDev }

// Issue is one thing wrong with, or remarkable about, a manifest.
type Issue struct {
	// Path of the file, as it was given to Load.
	Path string
	// Line and Column count from 1; 0 means the file as a whole.
	Line, Column int
	// Field is the dotted path of the field: "dev.api.sync[0]".
	Field string
	// Message says what is wrong; Hint, if any, what to write instead.
	Message, Hint string
}

// String is the issue in one line, in the form that editors can jump to.
func (i Issue) String() string {
	var b strings.Builder
	b.WriteString(i.Path)
	if i.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", i.Line, i.Column)
	}
	b.WriteString(": ")
	if i.Field != "" {
		b.WriteString(i.Field + ": ")
	}
	b.WriteString(i.Message)
	if i.Hint != "" {
		b.WriteString(" (" + i.Hint + ")")
	}
	return b.String()
}

// Error holds everything that is wrong with a manifest, in the order of the
// file. Load returns it as *Error.
type Error struct {
	Issues []Issue
}

// Error lists the issues, one per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Issues))
	for i, issue := range e.Issues {
		lines[i] = issue.String()
	}
	return strings.Join(lines, "\n")
}

func (e *Error) sort() {
	slices.SortStableFunc(e.Issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
